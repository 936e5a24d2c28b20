package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/versity/versitygw/iamapi/policy"
	"github.com/versity/versitygw/iamapi/types"
)

// judgeService says whether a trust policy lets an AWS service do every one of the question's actions.
//
// The evaluator refuses to read the principal pods.eks.amazonaws.com in a trust policy. So which statements
// are about the service is decided here, by comparing names, and those are handed to its evaluator of
// identity policies without their principal: actions, conditions and the precedence of Deny are its own.
func judgeService(q question) answer {
	statements, err := statementsAbout(q.Policy, q.Service)
	if err != nil {
		return answer{Error: err.Error()}
	}
	if len(statements) == 0 {
		return answer{Reason: "no statement names the service"}
	}
	document, err := json.Marshal(map[string]any{"Version": versionOf(q.Policy), "Statement": statements})
	if err != nil {
		return answer{Error: err.Error()}
	}
	if err := policy.Parse(string(document)); err != nil {
		return answer{Error: err.Error()}
	}
	for _, action := range q.Actions {
		decision := policy.EvaluateIdentityPolicies(
			[]types.PolicyEntry{{PolicyDocument: string(document)}},
			policy.RequestContext{Action: action, Resource: "*", Condition: q.Context},
		)
		if decision != policy.DecisionAllow {
			return answer{Reason: fmt.Sprintf("%s: decision %d", action, decision)}
		}
	}
	return answer{Allowed: true, Reason: "allowed"}
}

// statementsAbout returns the statements whose principal is the service or everybody, as those of an identity
// policy: without the principal, for every resource.
func statementsAbout(document, service string) ([]map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(document), &fields); err != nil {
		return nil, fmt.Errorf("the policy is not a JSON object: %w", err)
	}
	statements, err := listOf[map[string]json.RawMessage](fields["Statement"])
	if err != nil || len(statements) == 0 {
		return nil, errors.New("the policy has no statement")
	}
	kept := make([]map[string]json.RawMessage, 0, len(statements))
	for _, statement := range statements {
		var principal map[string]json.RawMessage
		if err := json.Unmarshal(statement["Principal"], &principal); err != nil {
			return nil, errors.New("a statement has no principal")
		}
		services, err := listOf[string](principal["Service"])
		if err != nil {
			return nil, err
		}
		if !slices.Contains(services, service) && !bytes.Equal(principal["AWS"], []byte(`"*"`)) {
			continue
		}
		delete(statement, "Principal")
		statement["Resource"] = json.RawMessage(`"*"`)
		kept = append(kept, statement)
	}
	return kept, nil
}

// versionOf returns the document's version, which decides whether ${...} is a variable; 2008-10-17 by default.
func versionOf(document string) string {
	var fields struct{ Version string }
	if json.Unmarshal([]byte(document), &fields) != nil || fields.Version == "" {
		return "2008-10-17"
	}
	return fields.Version
}
