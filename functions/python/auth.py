"""Turns a token into a policy, as an authorizer of an API gateway does."""

import serve

RESOURCE = "arn:aws:execute-api:{regionId}:{accountId}:{apiId}/{stage}/{httpVerb}/[{resource}/[{child-resources}]]"


def policy(effect):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": RESOURCE}
    return {
        "principalId": "user",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"stringKey": "stringval", "numberKey": 123, "booleanKey": True},
    }


def decided(token):
    if token == "allow":
        return str(policy("Allow"))
    if token == "deny":
        return str(policy("Deny"))
    if token == "unauthorized":
        return "Unauthorized"
    return "Error: Invalid token"


def answer(token):
    return f"fn: Auth | token: {token} | resp: {decided(token)} | runtime: python"


if __name__ == "__main__":
    serve.run(answer, serve.GREETER, ("auth.Greeter", "SayHello"))
