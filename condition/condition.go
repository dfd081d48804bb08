package condition

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"prunella"
)

// Limits of one condition. They are far above what a person writes.
const (
	maxSource = 4000   // code points
	maxDepth  = 50     // nesting
	maxCost   = 200000 // CEL cost units of one evaluation; a comparison costs about 1
)

// Kind is the type of a variable.
type Kind int

// Kinds of variables. Number is a CEL double; Any is checked when evaluated.
const (
	Number Kind = iota
	Text
	Bool
	List
	Any
)

// Scope names the variables that a condition may use.
type Scope map[string]Kind

// Scopes of the places in a skill file where a condition may stand. They are
// read-only.
var (
	// SignalMetric is for metric rules: value and baseline in the metric's unit,
	// ratio = value / baseline, share of failing requests (0–1), number of
	// services over their baseline, known (enough history for a baseline),
	// seconds that it has lasted and seconds that the rise took.
	SignalMetric = Scope{
		"value": Number, "baseline": Number, "ratio": Number, "share": Number, "services": Number,
		"known": Bool, "sustained_s": Number, "onset_s": Number,
	}
	// SignalText is for log, alert and change rules: how many observations
	// match, in how many services, and their share of all of that kind (0–1).
	SignalText = Scope{"count": Number, "services": Number, "share": Number}
	// Check is for a check's for and against, and a verify's until.
	Check = Scope{"result": Any, "incident": Any, "cause": Any}
	// Plan is for an action's when and for_each.
	Plan = Scope{"incident": Any, "cause": Any, "keys": Any, "item": Any, "now": Number}
	// Escalate is for an escalation's when.
	Escalate = Scope{"incident": Any, "cause": Any, "checks": Any, "verdict": Text, "state": Text}
)

// Program is a compiled condition. It is safe for concurrent use.
type Program struct {
	source  string
	scope   Scope
	uses    []string
	program cel.Program
}

// SyntaxError says where in a condition it goes wrong and what to write
// instead. Its Kind is Invalid.
type SyntaxError struct {
	Source string // the condition
	Line   int    // from 1
	Column int    // from 1, in characters
	Reason string
	Remedy string // may be empty
}

func (e *SyntaxError) Error() string {
	at := fmt.Sprintf("column %d", e.Column)
	if strings.Contains(e.Source, "\n") {
		at = fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	}
	s := fmt.Sprintf("condition %q, %s: %s", e.Source, at, e.Reason)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

func (e *SyntaxError) Unwrap() error {
	return &prunella.Error{Kind: prunella.Invalid, Reason: e.Reason, Remedy: e.Remedy}
}

// Compile checks expr against scope. The error is a *SyntaxError.
func Compile(expr string, scope Scope) (*Program, error) {
	if strings.TrimSpace(expr) == "" {
		return nil, &SyntaxError{Source: expr, Line: 1, Column: 1, Reason: "the condition is empty",
			Remedy: "write a comparison such as " + example(scope)}
	}
	env, err := environment(scope)
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Internal, Op: "set up CEL", Err: err}
	}
	checked, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, explain(expr, scope, issues)
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, &SyntaxError{Source: expr, Line: 1, Column: 1,
			Reason: fmt.Sprintf("it is a %s, not true or false", plainType(out.String())),
			Remedy: "compare it with something, such as " + example(scope)}
	}
	if err := wholeNumbers(expr, checked); err != nil {
		return nil, err
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, &SyntaxError{Source: expr, Line: 1, Column: 1, Reason: err.Error(),
			Remedy: "regular expressions use RE2 syntax (https://github.com/google/re2/wiki/Syntax)"}
	}
	return &Program{source: expr, scope: scope, uses: used(checked, scope), program: program}, nil
}

// Eval evaluates the condition. Every variable that it mentions must be in
// vars; other entries of vars are ignored. Numbers of any Go type become
// doubles, and an Any value may be whatever encoding/json can carry.
//
// The error is Invalid when a variable is missing or has the wrong type, when
// a field does not exist in this value (guard it with has()), or when the
// limit of cost is reached.
func (p *Program) Eval(vars map[string]any) (bool, error) {
	in := make(map[string]any, len(p.uses))
	for _, name := range p.uses {
		v, ok := vars[name]
		if !ok {
			return false, p.failed(fmt.Sprintf("the variable %s has no value", name), "")
		}
		c, err := convert(p.scope[name], v)
		if err != nil {
			return false, p.failed(fmt.Sprintf("the variable %s: %v", name, err), "")
		}
		in[name] = c
	}
	out, _, err := p.program.Eval(in)
	if err != nil {
		return false, p.runtime(err)
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, p.failed(fmt.Sprintf("it is a %s, not true or false", plainType(out.Type().TypeName())), "compare it with something")
	}
	return bool(b), nil
}

// Variables returns the names in the scope that the condition mentions, sorted.
func (p *Program) Variables() []string { return slices.Clone(p.uses) }

// String returns the source of the condition.
func (p *Program) String() string { return p.source }

func (p *Program) failed(reason, remedy string) error {
	return &prunella.Error{Kind: prunella.Invalid, Op: fmt.Sprintf("evaluate condition %q", p.source), Reason: reason, Remedy: remedy}
}

func (p *Program) runtime(err error) error {
	msg := err.Error()
	switch {
	case strings.Contains(msg, "cost limit"):
		return p.failed("it is too expensive for this input", "test fewer elements, or move the test into the read")
	case strings.HasPrefix(msg, "no such key: "):
		field := strings.TrimPrefix(msg, "no such key: ")
		return p.failed(fmt.Sprintf("there is no field %s here", field), fmt.Sprintf("guard it: has(x.%s) && …", field))
	case strings.HasPrefix(msg, "no such overload"):
		return p.failed("an operator meets values of the wrong type", "numbers are doubles: write 2.0, not 2, in arithmetic, and size(x) for a list's length")
	}
	return p.failed(msg, "")
}

func environment(scope Scope) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(cel.ValidateRegexLiterals()),
	}
	for name, kind := range scope {
		options = append(options, cel.Variable(name, celType(kind)))
	}
	return cel.NewEnv(options...)
}

func celType(k Kind) *cel.Type {
	switch k {
	case Number:
		return cel.DoubleType
	case Text:
		return cel.StringType
	case Bool:
		return cel.BoolType
	case List:
		return cel.ListType(cel.DynType)
	}
	return cel.DynType
}

// used lists the scope's variables in a checked expression. Variables that
// macros bind (x in list.all(x, …)) are not in the scope.
func used(checked *cel.Ast, scope Scope) []string {
	names := map[string]bool{}
	for _, ref := range checked.NativeRep().ReferenceMap() {
		if _, ok := scope[ref.Name]; ok {
			names[ref.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

var arithmetic = map[string]string{
	operators.Add: "+", operators.Subtract: "-", operators.Multiply: "*", operators.Divide: "/",
}

// wholeNumbers refuses "result.count * 2": CEL checks it only when evaluated,
// where a double never meets an int.
func wholeNumbers(expr string, checked *cel.Ast) error {
	var found *SyntaxError
	native := checked.NativeRep()
	ast.PreOrderVisit(native.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if found != nil || e.Kind() != ast.CallKind {
			return
		}
		op, ok := arithmetic[e.AsCall().FunctionName()]
		if !ok {
			return
		}
		args := e.AsCall().Args()
		for i, a := range args {
			if a.Kind() != ast.LiteralKind || len(args) != 2 {
				continue
			}
			n, ok := a.AsLiteral().(types.Int)
			if other := native.GetType(args[1-i].ID()); ok && other.IsExactType(cel.DynType) {
				at := native.SourceInfo().GetStartLocation(a.ID())
				found = &SyntaxError{Source: expr, Line: at.Line(), Column: at.Column() + 1,
					Reason: fmt.Sprintf("the whole number %d cannot be used with %s", n, op),
					Remedy: fmt.Sprintf("write %d.0 instead of %d", n, n)}
			}
		}
	}))
	if found == nil {
		return nil
	}
	return found
}

// At returns where a compile error stands, line and column from 1; 1, 1 for
// an error of another kind.
func At(err error) (line, column int) {
	var s *SyntaxError
	if errors.As(err, &s) {
		return s.Line, s.Column
	}
	return 1, 1
}
