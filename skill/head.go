package skill

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"prunella"
)

// versionPattern is the grammar of https://semver.org, with a leading v allowed.
var versionPattern = regexp.MustCompile(`^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

var patternPattern = regexp.MustCompile(`^[a-z0-9-]+(/[a-z0-9-]+)+$`)

// headProblems checks the front matter.
func (d *Document) headProblems(s prunella.Skill) []Problem {
	var out []Problem
	add := func(severity, key, rule, remedy, format string, args ...any) {
		p := Problem{File: d.Path, Line: 1, Column: 1, Rule: rule, Text: fmt.Sprintf(format, args...), Remedy: remedy, Severity: severity}
		if e := d.front.find(key); e != nil {
			p.Line, p.Column = e.line, e.column
		}
		out = append(out, p)
	}
	name := string(s.Name)
	switch {
	case d.front.stop == 0:
		add(SeverityError, "", "front-matter", "begin the file with ---, name: …, description: …, ---", "there is no front matter")
		return out
	case name == "":
		add(SeverityError, "name", "name", "add name: with a-z, 0-9 and -", "the skill has no name")
	case !idPattern.MatchString(name) || len(name) > 64:
		add(SeverityError, "name", "name", "use 1 to 64 of a-z, 0-9 and single -", "%q cannot be the name of a skill", name)
	default:
		if want := strings.TrimSuffix(path.Base(d.Path), Suffix); want != name && d.Path != "" {
			add(SeverityError, "name", "name-differs", fmt.Sprintf("write name: %s, or rename the file to %s%s", want, name, Suffix), "the name %s is not that of the file", name)
		}
	}
	if n := len([]rune(s.Description)); n == 0 {
		add(SeverityError, "description", "description", "add description: when to use this skill", "the skill has no description")
	} else if n > 1024 {
		add(SeverityError, "description", "description", "shorten it", "the description has %d characters, more than 1024", n)
	}
	if s.Version == "" {
		add(SeverityError, "version", "version", "add version: 1.0.0 under metadata", "the skill has no version")
	} else if !versionPattern.MatchString(s.Version) {
		add(SeverityError, "version", "version", "write major.minor.patch, such as 1.0.0", "%q is not a semantic version", s.Version)
	}
	if s.Pattern != "" && !ValidPattern(s.Pattern) {
		add(SeverityError, "pattern", "pattern", "write area/failure, such as auth/stale-jwks-cache", "%q is not a pattern", s.Pattern)
	}
	return out
}
