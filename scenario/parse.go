package scenario

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"prunella"
)

// maxFile bounds a scenario file, in bytes.
const maxFile = 1 << 20

// File is one scenario file, read and found right with its default parameters.
type File struct {
	Path        string   `json:"path"`
	Name        string   `json:"name"`
	Title       string   `json:"title"`
	Category    string   `json:"category"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
	Params      []Param  `json:"params"`
	Live        bool     `json:"live"` // a world is started; otherwise messages only

	root *yaml.Node
}

var fileName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Parse reads a scenario file. The error names every problem it has, one a
// line, as path:line: what is wrong (what to write); its Kind is Invalid.
func Parse(path string, b []byte) (File, error) {
	r := &reader{path: path}
	if len(b) > maxFile {
		return File{}, &prunella.Error{Kind: prunella.TooLarge, Where: path, Reason: "a scenario file has at most 1 MiB"}
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) || err == nil && doc.Kind == 0 {
		r.fail(nil, "docs/scenarios.md shows one", "the file is empty")
		return File{}, r.err()
	} else if err != nil {
		r.fail(&yaml.Node{Line: yamlLine(err)}, "mind the indentation and the quotes", "this is not YAML: %s", yamlReason(err))
		return File{}, r.err()
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.fail(nil, "one file holds one scenario", "there is a second document behind ---")
		return File{}, r.err()
	}
	f := File{Path: path, root: doc.Content[0]}
	if f.root.Kind != yaml.MappingNode {
		r.fail(f.root, "docs/scenarios.md shows one", "a scenario is a mapping, this is %s", kindOf(f.root))
		return File{}, r.err()
	}
	for i := 0; i+1 < len(f.root.Content); i += 2 {
		if f.root.Content[i].Value == "params" {
			f.Params = r.readParams(f.root.Content[i+1])
		}
	}
	if err := r.err(); err != nil {
		return File{}, err
	}
	s, err := f.With(nil)
	if err != nil {
		return File{}, err
	}
	f.Name, f.Title, f.Category, f.Description, f.Tags = s.Name, s.Title, s.Category, s.Description, s.Tags
	f.Live = !s.MessagesOnly()
	return f, nil
}

var yamlLinePattern = regexp.MustCompile(`line (\d+): ?`)

func yamlLine(err error) int {
	if m := yamlLinePattern.FindStringSubmatch(err.Error()); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits by the pattern; 0 on overflow reads as line 1
		return n
	}
	return 1
}

func yamlReason(err error) string {
	return yamlLinePattern.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "")
}

// With sets parameters and returns the scenario that results.
func (f File) With(set map[string]string) (Scenario, error) {
	values, err := resolve(f.Params, set)
	if err != nil {
		return Scenario{}, err
	}
	r := &reader{path: f.Path}
	root := *f.root
	root.Content = nil
	for i := 0; i+1 < len(f.root.Content); i += 2 {
		key, value := f.root.Content[i], f.root.Content[i+1]
		if key.Value != "params" {
			value = r.substitute(value, values, key.Value == "expect" || key.Value == "after")
		}
		root.Content = append(root.Content, key, value)
	}
	if err := r.err(); err != nil {
		return Scenario{}, err
	}
	s := Scenario{Path: f.Path, Params: values}
	r.scenario(&root, &s)
	return s, r.err()
}

func (r *reader) scenario(root *yaml.Node, s *Scenario) {
	s.Given = defaultGiven()
	s.Watch = Watch{Bound: 60 * time.Second, Hold: 3 * time.Second, Quiet: 8 * time.Second}
	seen := r.mapping(root, "a scenario", fields{
		"name": func(n *yaml.Node) {
			if s.Name = r.text(n, "name"); !fileName.MatchString(s.Name) || len(s.Name) > 64 {
				r.fail(n, "use lower-case words joined by dashes, at most 64 characters", "%q is not a scenario's name", s.Name)
			}
		},
		"title": func(n *yaml.Node) { s.Title = r.text(n, "title") },
		"category": func(n *yaml.Node) {
			if s.Category = r.text(n, "category"); !fileName.MatchString(s.Category) {
				r.fail(n, "use lower-case words joined by dashes", "%q is not a category", s.Category)
			}
		},
		"description": func(n *yaml.Node) { s.Description = r.text(n, "description") },
		"tags":        func(n *yaml.Node) { s.Tags = r.texts(n, "tags") },
		"conditions":  func(n *yaml.Node) { s.Conditions = r.texts(n, "conditions") },
		"params":      func(*yaml.Node) {},
		"skills":      func(n *yaml.Node) { s.Skills = r.skills(n) },
		"given":       func(n *yaml.Node) { r.given(n, &s.Given) },
		"inject":      func(n *yaml.Node) { s.Inject = r.inject(n) },
		"messages":    func(n *yaml.Node) { s.Messages = r.messages(n) },
		"watch":       func(n *yaml.Node) { r.watch(n, &s.Watch) },
		"expect":      func(n *yaml.Node) { s.Expect = r.expect(n) },
		"after":       func(n *yaml.Node) { s.After = r.after(n) },
	})
	for _, key := range []string{"name", "title", "category", "description"} {
		if seen[key] == nil {
			r.fail(root, "add "+key+": …", "the scenario has no %s", key)
		}
	}
	control := s.Expect.Incidents != nil && s.Expect.Incidents.Max == 0
	switch {
	case seen["inject"] != nil && seen["messages"] != nil:
		r.fail(seen["messages"], "keep inject for a live world, or messages for none", "a scenario has inject or messages, not both")
	case seen["inject"] == nil && seen["messages"] == nil && !control:
		r.fail(root, "add inject: with a fault, or messages:; only a control that expects no incident has neither", "nothing is injected")
	case seen["messages"] != nil:
		r.messagesOnly(seen, s)
	case seen["given"] != nil && s.Given.Services != nil:
		r.fail(seen["given"], "describe the live world under given.world", "given.services belongs to scenarios of messages")
	}
}

func (r *reader) messagesOnly(seen map[string]*yaml.Node, s *Scenario) {
	if g := seen["given"]; g != nil && g.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(g.Content); i += 2 {
			if k := g.Content[i]; k.Value == "world" || k.Value == "steady" {
				r.fail(k, "leave it out; given.services may declare what an operator knows", "a scenario of messages has no given.%s", k.Value)
			}
		}
	}
	if seen["after"] != nil && (s.After.FailingMax != nil || s.After.Canaries != nil || s.After.Trust != nil) {
		r.fail(seen["after"], "only open_incidents can be seen without a world", "a scenario of messages has no world to look at afterwards")
	}
	if s.Expect.Failed != nil {
		r.fail(seen["expect"], "leave requests out", "a scenario of messages has no requests to count")
	}
}

func (r *reader) skills(n *yaml.Node) Skills {
	var s Skills
	r.asserting(n, "skills", fields{
		"exclude": func(n *yaml.Node) {
			for _, t := range r.texts(n, "skills.exclude") {
				s.Exclude = append(s.Exclude, prunella.SkillName(t))
			}
		},
	})
	return s
}

func (r *reader) inject(n *yaml.Node) []Injection {
	var out []Injection
	for _, item := range r.items(n, "inject") {
		var v Injection
		var with *yaml.Node
		seen := r.mapping(item, "an injection", fields{
			"at":    func(n *yaml.Node) { v.At = r.duration(n, "at") },
			"fault": func(n *yaml.Node) { v.Fault = r.text(n, "fault") },
			"with":  func(n *yaml.Node) { with, v.With = n, r.flat(n, "with") },
		})
		switch {
		case seen["fault"] != nil:
			r.checkFault(seen["fault"], with, v)
		case item.Kind == yaml.MappingNode:
			r.fail(item, "add fault: …; docs/scenarios.md lists them", "an injection has no fault")
		}
		out = append(out, v)
	}
	if len(out) == 0 && n.Kind == yaml.SequenceNode {
		r.fail(n, "add a fault, or leave inject out", "inject is empty")
	}
	slices.SortStableFunc(out, func(a, b Injection) int { return int(a.At - b.At) })
	return out
}

func (r *reader) messages(n *yaml.Node) []Message {
	var out []Message
	for _, item := range r.items(n, "messages") {
		m := Message{Severity: prunella.High}
		seen := r.mapping(item, "a message", fields{
			"at":         func(n *yaml.Node) { m.At = r.duration(n, "at") },
			"monitor":    func(n *yaml.Node) { m.Monitor = r.text(n, "monitor") },
			"service":    func(n *yaml.Node) { m.Service = r.text(n, "service") },
			"severity":   func(n *yaml.Node) { m.Severity = prunella.Severity(r.word(n, "severity", severities)) },
			"text":       func(n *yaml.Node) { m.Text = r.text(n, "text") },
			"attributes": func(n *yaml.Node) { m.Attributes = r.flat(n, "attributes") },
		})
		for _, key := range []string{"monitor", "text"} {
			if seen[key] == nil && item.Kind == yaml.MappingNode {
				r.fail(item, "add "+key+": …", "a message has no %s", key)
			}
		}
		out = append(out, m)
	}
	if len(out) == 0 && n.Kind == yaml.SequenceNode {
		r.fail(n, "add a message, or leave messages out", "messages is empty")
	}
	slices.SortStableFunc(out, func(a, b Message) int { return int(a.At - b.At) })
	return out
}

func (r *reader) watch(n *yaml.Node, w *Watch) {
	r.mapping(n, "watch", fields{
		"bound": func(n *yaml.Node) { w.Bound = r.duration(n, "watch.bound") },
		"hold":  func(n *yaml.Node) { w.Hold = r.duration(n, "watch.hold") },
		"quiet": func(n *yaml.Node) { w.Quiet = r.duration(n, "watch.quiet") },
	})
}
