package gateway

import (
	"context"
	"errors"

	"osgate/auth"
	"osgate/config"
	"osgate/internal/watch"
	"osgate/policy"
	"osgate/proxy"
)

func policyOptions(c config.Policy) policy.Options {
	return policy.Options{Path: c.Path, Shadow: c.Shadow, Headers: c.Headers}
}

// Policy loads the rules that c names. Without a path it permits everything.
func Policy(c config.Policy) (*policy.Policy, error) {
	if c.Path == "" {
		return &policy.Policy{}, nil
	}
	return policy.Load(policyOptions(c)) //nolint:wrapcheck // the error names file, line and column
}

// checkPolicy returns the problems of the rules under the name of the variable that
// names them.
func checkPolicy(c config.Config) (problems []config.Problem) {
	_, err := Policy(c.Policy)
	if wrong, ok := errors.AsType[*policy.LoadError](err); ok {
		for _, p := range wrong.Problems {
			problems = append(problems, config.Problem{Variable: config.Prefix + "POLICY", Detail: p.String()})
		}
		return problems
	}
	if err != nil {
		problems = append(problems, config.Problem{Variable: config.Prefix + "POLICY", Detail: err.Error()})
	}
	return problems
}

// makePolicy makes the part that applies the organization's rules, and the one that
// returns the types of environments.
func (p *parts) makePolicy(transport proxy.Transport) (err error) {
	p.environments, err = auth.NewEnvironmentTypes(auth.EnvironmentTypesOptions{
		Lister: &auth.Anypoint{
			Transport: transport.Shared, Endpoint: Endpoint(p.config), OnAnswer: p.auth.NoteAllowance,
			Names: p.names,
		},
	})
	if err != nil || p.config.Policy.Path == "" {
		p.policy = &policy.Policy{}
		return err
	}
	o := policyOptions(p.config.Policy)
	o.OnChange, o.Rest = p.policyChanged, watch.Rest
	p.policy, err = policy.Load(o)
	return err //nolint:wrapcheck // the error names file, line and column
}

// policyChanged logs one line for a change of the rules.
func (p *parts) policyChanged(s policy.State) {
	if s.Err != nil {
		p.logger.Error("the policy cannot be read; the rules in force stay",
			"rules", s.Rules, "loaded", s.Loaded, "cause", s.Err.Error())
		return
	}
	p.logger.Info("policy", "files", s.Files, "rules", s.Rules, "shadowed", s.Shadowed, "hash", s.Hash)
}

// watchPolicy loads changed rules until ctx ends.
func (p *parts) watchPolicy(ctx context.Context) error {
	if err := p.policy.Run(ctx); err != nil && ctx.Err() == nil {
		return err //nolint:wrapcheck // the error names the failed step
	}
	return nil
}
