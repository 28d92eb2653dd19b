"""Signs up, signs in and asks who it is with stubs made from the .proto files, and reads the details of refusals."""

import json
import sys

import grpc

stubs, target, username, email, password = sys.argv[1:]
sys.path.insert(0, stubs)

from auth.v1 import auth_service_pb2 as messages
from auth.v1.auth_service_pb2_grpc import AuthServiceStub
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2


def refusal(call):
    packed = dict(call.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (call.code().value[0], call.details())
    details = {}
    for detail in status.details:
        for message in (error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()):
            if detail.Unpack(message):
                details[message.DESCRIPTOR.name] = MessageToDict(message)
    return {"code": call.code().name, "message": call.details(), **details}


def attempt(method, request, token=None):
    metadata = [("authorization", f"Bearer {token}")] if token else []
    try:
        return MessageToDict(method(request, timeout=10, metadata=metadata))
    except grpc.RpcError as call:
        return refusal(call)


with grpc.insecure_channel(target) as channel:
    auth = AuthServiceStub(channel)
    account = {"username": username, "email": email, "password": password}
    report = {
        "signedUp": attempt(auth.SignUp, messages.SignUpRequest(**account)),
        "taken": attempt(auth.SignUp, messages.SignUpRequest(**account)),
        "faulty": attempt(auth.SignUp, messages.SignUpRequest(username="x", email="no", password=password)),
        "signedIn": attempt(auth.SignIn, messages.SignInRequest(login=username, password=password)),
        "wrong": attempt(auth.SignIn, messages.SignInRequest(login=username, password="wrong")),
        "anonymous": attempt(auth.GetMe, messages.GetMeRequest()),
    }
    token = report["signedIn"].get("tokens", {}).get("accessToken")
    report["me"] = attempt(auth.GetMe, messages.GetMeRequest(), token)

print(json.dumps(report))
