package policy

// Needs is [Rules.Needs] of the rules in force.
func (p *Policy) Needs() Needs { return p.Rules().Needs() }

// Decide is [Rules.Decide] of the rules in force.
func (p *Policy) Decide(r Request) Decision { return p.Rules().Decide(r) }

// Evaluate is [Rules.Decide] without the decisions that are remembered.
func (rs *Rules) Evaluate(r Request) Decision { return rs.conclude(r) }
