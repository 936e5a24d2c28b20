package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// withoutServices removes AWS service principals from a trust policy and says how many statements are left.
//
// The evaluator knows the services of its own gateway only and refuses a whole document that names another,
// such as pods.eks.amazonaws.com. A service never calls AssumeRoleWithWebIdentity, so neither an Allow nor a
// Deny for one changes the judgement. A statement with other principals beside the service keeps those.
func withoutServices(document string) (string, int, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(document), &fields); err != nil {
		return "", 0, fmt.Errorf("the policy is not a JSON object: %w", err)
	}
	statements, err := listOf[json.RawMessage](fields["Statement"])
	if err != nil || len(statements) == 0 {
		return "", 0, errors.New("the policy has no statement")
	}
	kept := make([]json.RawMessage, 0, len(statements))
	for _, statement := range statements {
		trimmed, err := withoutService(statement)
		if err != nil {
			return "", 0, err
		}
		if trimmed != nil {
			kept = append(kept, trimmed)
		}
	}
	if fields["Statement"], err = json.Marshal(kept); err != nil {
		return "", 0, err
	}
	text, err := json.Marshal(fields)
	return string(text), len(kept), err
}

// withoutService returns the statement without its service principals: nil if it had no others, and
// unchanged, for the evaluator to refuse, if it is not understood.
func withoutService(statement json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(statement, &fields); err != nil {
		return nil, fmt.Errorf("a statement is not a JSON object: %w", err)
	}
	var principal map[string]json.RawMessage
	if json.Unmarshal(fields["Principal"], &principal) != nil {
		return statement, nil
	}
	services, err := listOf[string](principal["Service"])
	if err != nil || len(services) == 0 {
		return statement, nil
	}
	for _, service := range services {
		if !strings.HasSuffix(service, ".amazonaws.com") {
			return statement, nil
		}
	}
	delete(principal, "Service")
	if len(principal) == 0 {
		return nil, nil
	}
	if fields["Principal"], err = json.Marshal(principal); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// listOf reads what IAM allows to be one value or a list of them; absent is an empty list.
func listOf[T any](raw json.RawMessage) ([]T, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, nil
	}
	if raw[0] == '[' {
		var list []T
		err := json.Unmarshal(raw, &list)
		return list, err
	}
	var one T
	if err := json.Unmarshal(raw, &one); err != nil {
		return nil, err
	}
	return []T{one}, nil
}
