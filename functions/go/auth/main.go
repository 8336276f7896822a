// Command auth turns a token into a policy, as an authorizer of an API gateway does.
package main

import (
	"fmt"

	"functions/serve"
)

const resource = "arn:aws:execute-api:{regionId}:{accountId}:{apiId}/{stage}/{httpVerb}/[{resource}/[{child-resources}]]"

type statement struct {
	Action   string
	Effect   string
	Resource string
}

type policyDocument struct {
	Version   string
	Statement []statement
}

type about struct {
	stringKey  string
	numberKey  int
	booleanKey bool
}

type policy struct {
	principalId    string
	policyDocument policyDocument
	context        about
}

func generated(effect string) policy {
	return policy{
		principalId: "user",
		policyDocument: policyDocument{
			Version:   "2012-10-17",
			Statement: []statement{{Action: "execute-api:Invoke", Effect: effect, Resource: resource}},
		},
		context: about{stringKey: "stringval", numberKey: 123, booleanKey: true},
	}
}

func decided(token string) string {
	switch token {
	case "allow":
		return fmt.Sprintf("%+v", generated("Allow"))
	case "deny":
		return fmt.Sprintf("%+v", generated("Deny"))
	case "unauthorized":
		return "Unauthorized"
	default:
		return "Error: Invalid token"
	}
}

func answer(token string) string {
	return fmt.Sprintf("fn: Auth | token: %s | resp: %s | runtime: golang", token, decided(token))
}

func main() {
	serve.Run(answer, serve.Greeter, serve.Method{Service: "auth.Greeter", Name: "SayHello"})
}
