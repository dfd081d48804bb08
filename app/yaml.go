package app

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"prunella"
	"prunella/condition"
)

// ParseYAML reads a configuration strictly into a struct: an unknown key or a
// wrong value is Invalid and names file, line and remedy. ${NAME} takes an
// environment variable. reference is the page that lists the keys.
func ParseYAML(path string, b []byte, reference string, into any) error {
	invalid := func(n *yaml.Node, reason, remedy string) error {
		return &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: fmt.Sprintf("%s:%d", path, n.Line), Reason: reason, Remedy: remedy}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(environment.mark(b), &doc); err != nil {
		return configError(path, reference, err)
	}
	if n, name := environment.fill(&doc); n != nil {
		return invalid(n, "the environment variable "+name+" is not set", "export it before starting")
	}
	if n, known := unknownKey(&doc, reflect.TypeOf(into)); n != nil {
		remedy := "check the spelling and the indentation"
		if near := condition.Closest(n.Value, known); near != "" {
			remedy = "did you mean " + near + "?"
		}
		return invalid(n, fmt.Sprintf("%q is not a known key here", n.Value), remedy+"; "+reference+" lists every key")
	}
	if doc.IsZero() { // an empty file is all defaults
		return nil
	}
	if err := doc.Decode(into); err != nil {
		return configError(path, reference, err)
	}
	return nil
}

var lineRE = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)`)

// configError turns the first complaint of the YAML library into file:line and a sentence.
func configError(path, reference string, err error) error {
	text := err.Error()
	var te *yaml.TypeError
	if errors.As(err, &te) && len(te.Errors) > 0 {
		text = te.Errors[0]
	}
	where := path
	if m := lineRE.FindStringSubmatch(text); m != nil {
		where, text = path+":"+m[1], m[2]
	}
	return &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: where, Reason: text, Remedy: "see " + reference}
}

// placeholders replace ${NAME} in a YAML text by what the environment holds.
// The text is parsed with a mark in the place of each, a word that YAML reads as
// any other, and the values are put into the parsed scalars: whatever a secret
// consists of, it can neither end a string nor begin a comment.
type placeholders struct {
	written, marked *regexp.Regexp
}

var environment = placeholders{
	written: regexp.MustCompile(`\$\{([A-Z][A-Z0-9_]*)\}`),
	marked:  regexp.MustCompile("\ue000([A-Z][A-Z0-9_]*)\ue001"), // of the private use area: nobody writes it
}

func (p placeholders) mark(b []byte) []byte {
	return p.written.ReplaceAll(b, []byte("\ue000$1\ue001"))
}

// fill puts the values in; a variable that is not set is returned with its place.
func (p placeholders) fill(n *yaml.Node) (at *yaml.Node, missing string) {
	if n.Kind == yaml.ScalarNode && p.marked.MatchString(n.Value) {
		n.Value = p.marked.ReplaceAllStringFunc(n.Value, func(m string) string {
			name := p.marked.FindStringSubmatch(m)[1]
			v, ok := os.LookupEnv(name)
			if !ok && missing == "" {
				missing = name
			}
			return v
		})
		if missing != "" {
			return n, missing
		}
		if n.Style == 0 { // a plain scalar may have become a number
			n.Tag = ""
		}
	}
	for _, c := range n.Content {
		if at, missing = p.fill(c); at != nil {
			return at, missing
		}
	}
	return nil, ""
}

// unknownKey finds the first key in a document that the type to be read has no
// field for, and those that there are at its place; nil when there is none.
func unknownKey(n *yaml.Node, typ reflect.Type) (bad *yaml.Node, known []string) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.DocumentNode || n.Kind == yaml.SequenceNode && typ.Kind() == reflect.Slice:
		if n.Kind == yaml.SequenceNode {
			typ = typ.Elem()
		}
		for _, c := range n.Content {
			if bad, known = unknownKey(c, typ); bad != nil {
				return bad, known
			}
		}
	case n.Kind == yaml.MappingNode && typ.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			if bad, known = unknownKey(n.Content[i], typ.Elem()); bad != nil {
				return bad, known
			}
		}
	case n.Kind == yaml.MappingNode && typ.Kind() == reflect.Struct:
		fields := map[string]reflect.Type{"<<": typ} // a merged mapping has the same keys
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			fields[name] = typ.Field(i).Type
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			of, is := fields[n.Content[i].Value]
			if !is {
				return n.Content[i], slices.Sorted(maps.Keys(fields))
			}
			if bad, known = unknownKey(n.Content[i+1], of); bad != nil {
				return bad, known
			}
		}
	}
	return nil, nil
}
