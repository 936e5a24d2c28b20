// Trustoracle judges IAM trust policies with versitygw's evaluator, which this project had no part in, so
// that tests do not only compare our reading of IAM with itself.
//
// It reads one JSON object per line on stdin and answers each with one JSON object per line on stdout, in
// order, until stdin closes. A document the evaluator's grammar refuses is answered with "error" set.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/versity/versitygw/iamapi/policy"
)

// question is one AssumeRoleWithWebIdentity call: the role's trust policy, the one OIDC provider that the
// account has, and what the token says. Issuer has no scheme, as in condition keys.
//
// With Service set it is what that AWS service wants to do instead: Actions, with the values of Context.
type question struct {
	Policy   string              `json:"policy"`
	Provider string              `json:"provider"`
	Issuer   string              `json:"issuer"`
	Subject  string              `json:"subject"`
	Audience string              `json:"audience"`
	Service  string              `json:"service"`
	Actions  []string            `json:"actions"`
	Context  map[string][]string `json:"context"`
}

type answer struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
	Error   string `json:"error,omitempty"`
}

var reasons = map[policy.WebIdentityMatch]string{
	policy.NoPrincipal:      "no statement names the provider",
	policy.NoIssuerMatch:    "the provider is not the token's issuer",
	policy.ConditionFailed:  "the conditions do not hold",
	policy.ExplicitlyDenied: "a Deny statement matches",
	policy.Allowed:          "allowed",
}

func judge(q question) answer {
	if q.Service != "" {
		return judgeService(q)
	}
	document, left, err := withoutServices(q.Policy)
	if err != nil {
		return answer{Error: err.Error()}
	}
	if left == 0 {
		return answer{Reason: reasons[policy.NoPrincipal]}
	}
	if err := policy.ParseTrust(document); err != nil {
		return answer{Error: err.Error()}
	}
	provider := func(arn string) (string, bool) { return q.Issuer, arn == q.Provider }
	match, _ := policy.EvaluateWebIdentityTrust(document, provider, policy.WebIdentityContext{
		ProviderURL: q.Issuer,
		Audience:    q.Audience,
		Subject:     q.Subject,
		Secure:      true,
	})
	return answer{Allowed: match == policy.Allowed, Reason: reasons[match]}
}

func run(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	encoder := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var q question
			reply := answer{}
			if err := json.Unmarshal(line, &q); err != nil {
				reply.Error = "not a question: " + err.Error()
			} else {
				reply = judge(q)
			}
			if err := encoder.Encode(reply); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trustoracle:", err)
		os.Exit(1)
	}
}
