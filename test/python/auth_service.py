"""The client of seed 000 as its document shows it, with the modules around it that it imports."""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass

from aiohttp import ClientSession
from aiohttp import ClientConnectionError


class AuthError(Exception):
    def __init__(self, detail):
        super().__init__(detail)
        self.detail = detail


class BadRequestError(Exception):
    def __init__(self, detail):
        super().__init__(detail)
        self.detail = detail


@dataclass
class Settings:
    AUTH_SERVICE_URL: str


@dataclass
class SignIn:
    username: str
    password: str

    def model_dump(self):
        return asdict(self)


settings = Settings(AUTH_SERVICE_URL=sys.argv[1])


class AuthService:
    def __init__(self, client: ClientSession):
        self.client = client

    async def sign_in(self, schema: SignIn):
        url = settings.AUTH_SERVICE_URL
        try:
            async with self.client.post(f"{url}/sign-in", json=schema.model_dump()) as response:
                data = await response.json()
                if response.status != 200:
                    raise AuthError(detail=data["detail"])
                return data
        except ClientConnectionError as _:
            raise BadRequestError(detail="Auth Service not available")


async def main(username, password):
    async with ClientSession() as client:
        try:
            print(json.dumps({"data": await AuthService(client).sign_in(SignIn(username, password))}))
        except (AuthError, BadRequestError) as error:
            print(json.dumps({"error": type(error).__name__, "detail": error.detail}))


asyncio.run(main(*sys.argv[2:]))
