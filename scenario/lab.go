package scenario

import (
	"go.yaml.in/yaml/v3"
)

var profiles = []string{"distributed", "cached"}

func verifierKinds() []string {
	return []string{"static-file", "whole-set", "per-kid", "keyfunc", "go-oidc", "jwx"}
}

func (r *reader) checkFault(n, with *yaml.Node, v Injection) {}
