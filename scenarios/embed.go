// Package scenarios is the catalogue that Prunella ships: one YAML file for each
// failure it claims to handle, below a folder for its category. The format is
// described in docs/scenarios.md and read by package scenario; nothing else
// stands here, so that a new scenario is a new file and no code.
package scenarios

import "embed"

// FS holds <category>/<name>.yaml.
//
//go:embed */*.yaml
var FS embed.FS
