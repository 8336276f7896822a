// Turns a token into a policy, as an authorizer of an API gateway does.
'use strict';

const { GREETER, run } = require('./serve');

const RESOURCE = 'arn:aws:execute-api:{regionId}:{accountId}:{apiId}/{stage}/{httpVerb}/[{resource}/[{child-resources}]]';

function policy(effect) {
  const statement = { Action: 'execute-api:Invoke', Effect: effect, Resource: RESOURCE };
  return JSON.stringify({
    principalId: 'user',
    policyDocument: { Version: '2012-10-17', Statement: [statement] },
    context: { stringKey: 'stringval', numberKey: 123, booleanKey: true },
  }, null, 2);
}

function decided(token) {
  switch (token) {
    case 'allow': return policy('Allow');
    case 'deny': return policy('Deny');
    case 'unauthorized': return 'Unauthorized';
    default: return 'Error: Invalid token';
  }
}

run((token) => `fn: Auth | token: ${token} | resp: ${decided(token)} | runtime: nodejs`, GREETER, '/auth.Greeter/SayHello');
