package gaea

// TargetGroup is a set of minions under a name.
type TargetGroup struct {
	Name        string `json:"name" doc:"unique name"`
	Description string `json:"description,omitempty" maxLength:"1024"`
	Target      Target `json:"target" doc:"which minions"`
}

// DefinitionKind implements [Definition].
func (TargetGroup) DefinitionKind() Kind { return KindTargetGroup }

// DefinitionName implements [Definition].
func (g TargetGroup) DefinitionName() string { return g.Name }

// Validate implements [Definition].
func (g TargetGroup) Validate() error {
	if err := ValidateName(g.Name); err != nil {
		return err
	}
	return g.Target.Validate()
}
