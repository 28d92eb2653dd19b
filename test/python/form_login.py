"""Seed 002's calls as its examples make them: JSON sign-up, form login, refresh and logout by bearer."""

import asyncio
import json
import sys

from aiohttp import ClientSession


async def main(host, username, email, password):
    answers = []

    async def call(method, path, **arguments):
        async with client.request(method, f"{host}/api/auth/{path}", **arguments) as response:
            answers.append({"status": response.status, "body": await response.json()})
            return answers[-1]["body"]

    async with ClientSession() as client:
        await call("POST", "signup", json={"email": email, "username": username, "password": password})
        tokens = await call("POST", "login", data={"username": email, "password": password})
        headers = {"Authorization": f"Bearer {tokens.get('refresh_token')}"}
        tokens = await call("GET", "refresh_token", headers=headers)
        headers = {"Authorization": f"Bearer {tokens.get('refresh_token')}"}
        await call("POST", "/logout", headers=headers)
        await call("GET", "refresh_token", headers=headers)
    print(json.dumps(answers))


asyncio.run(main(*sys.argv[1:]))
