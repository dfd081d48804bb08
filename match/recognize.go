package match

import (
	"fmt"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
	"prunella/condition"
)

// Features are what is known of an incident when its pattern is asked for.
// Empty parts mean "not known" and speak neither for nor against a skill.
type Features struct {
	Services []string             // affected
	Errors   map[string]ErrorRate // by status: "401", "403", "5xx"; see Detector.Errors
	Texts    []prunella.TextGroup // see Detector.Group
	Alerts   []prunella.Signal    // alerts that fire
	Changes  []prunella.Change    // that may have caused it; not the ones a heal made
	Onset    time.Time
}

// ErrorRate is how the affected services fail with one status.
type ErrorRate struct {
	Value     float64       // failing requests per second
	Baseline  float64       // the same in quiet times
	Ratio     float64       // Value / Baseline; a baseline of nothing counts as the least that could have been seen
	Share     float64       // failing / all requests, 0–1
	Services  int           // how many of them are over their baseline
	Known     bool          // every one of them has a baseline
	Sustained time.Duration // since the onset
	Rise      time.Duration // from the onset to half of the highest share
}

// How recognition weighs. A skill's log-odds are
//
//	prior + Σ weight of rules that hold − Σ weight of rules against that hold
//	      − absence × Σ weight of rules that could have held and did not
//
// in nats, so the weights in a skill file are natural-log likelihood ratios: a
// rule of weight 2 makes the pattern e² ≈ 7 times as likely. Score is the
// logistic of that. Rules for which there is no data add nothing.
const (
	prior     = -3.0 // 5 %: most failures are none of the known ones
	absence   = 0.15 // wording differs, so not seeing a text says little
	threshold = 0.60 // least score of a recognized pattern
	margin    = 1.0  // nats by which it must lead to be unambiguous
	lateness  = 30 * time.Second
)

// Recognizer holds skills with their rules compiled. It is safe for concurrent
// use.
type Recognizer struct{ skills []compiledSkill }

type compiledSkill struct {
	prunella.Skill
	rules []compiledRule
}

type compiledRule struct {
	prunella.SignalRule
	phrases []string // folded
	regex   *regexp.Regexp
	when    *condition.Program
	broken  error
}

// NewRecognizer compiles the rules of skills. A rule that does not compile
// never holds, and is reported among a candidate's missing rules.
func NewRecognizer(skills []prunella.Skill) *Recognizer {
	r := &Recognizer{}
	for _, sk := range skills {
		c := compiledSkill{Skill: sk}
		for _, rule := range sk.Signals {
			c.rules = append(c.rules, compile(rule))
		}
		r.skills = append(r.skills, c)
	}
	return r
}

func compile(rule prunella.SignalRule) compiledRule {
	c := compiledRule{SignalRule: rule}
	for _, p := range rule.Any {
		if p = fold(p); p != "" {
			c.phrases = append(c.phrases, p)
		}
	}
	if rule.Regex != "" {
		c.regex, c.broken = regexp.Compile(rule.Regex)
	}
	if rule.When != "" && c.broken == nil {
		scope := condition.SignalText
		if rule.Kind == prunella.KindMetric {
			scope = condition.SignalMetric
		}
		c.when, c.broken = condition.Compile(rule.When, scope)
	}
	return c
}

// Recognize says which of the skills describes an incident, or UNKNOWN when
// none fits well enough: recognition is open-set. See Recognizer for many
// incidents with the same skills.
func Recognize(skills []prunella.Skill, f Features, now time.Time) prunella.Match {
	return NewRecognizer(skills).Recognize(f, now)
}

// scored is a candidate with its log-odds.
type scored struct {
	prunella.Candidate
	odds float64
	held int // rules for it
}

// Recognize says which skill describes the incident. Confidence is the
// probability of the answer when the skills compete with each other and with
// "none of them": odds of the answer over the sum of all odds.
func (r *Recognizer) Recognize(f Features, now time.Time) prunella.Match {
	texts := foldTexts(f.Texts)
	var all []scored
	for _, sk := range r.skills {
		all = append(all, score(sk, f, texts))
	}
	sort.SliceStable(all, func(i, j int) bool {
		return all[i].odds > all[j].odds || all[i].odds == all[j].odds && all[i].Skill < all[j].Skill
	})
	m := prunella.Match{Pattern: prunella.Unknown}
	mass := 1.0 // of "none of them"
	for _, c := range all {
		m.Candidates = append(m.Candidates, c.Candidate)
		mass += math.Exp(c.odds)
	}
	if len(all) == 0 || all[0].Score < threshold || all[0].held == 0 {
		m.Confidence = 1 / mass
		m.Reason = prunella.Reason{Name: "no-skill-fits", Text: "no skill describes this well enough",
			Operands: map[string]string{"skills": strconv.Itoa(len(all)), "threshold": num(threshold)}}
		if len(all) > 0 {
			m.Reason.Operands["best"], m.Reason.Operands["score"] = string(all[0].Skill), num(all[0].Score)
			m.Reason.Text = fmt.Sprintf("no skill describes this well enough; the nearest is %s with %s, %s are needed",
				all[0].Skill, percent(all[0].Score), percent(threshold))
		}
		return m
	}
	best := all[0]
	m.Pattern, m.Skill, m.Matched = best.Pattern, best.Skill, best.Matched
	m.Confidence = math.Exp(best.odds) / mass
	m.Reason = prunella.Reason{Name: "rules-hold",
		Text:     fmt.Sprintf("%d rules of %s hold", best.held, best.Skill),
		Operands: map[string]string{"score": num(best.Score), "log_odds": num(best.odds), "threshold": num(threshold), "rules": strconv.Itoa(best.held)}}
	if len(all) > 1 && all[1].held > 0 && all[1].Score >= threshold && best.odds-all[1].odds < margin {
		m.Reason.Name = "ambiguous"
		m.Reason.Text = fmt.Sprintf("%s and %s fit about equally well; their checks must decide", best.Skill, all[1].Skill)
		m.Reason.Operands["other"], m.Reason.Operands["other_score"] = string(all[1].Skill), num(all[1].Score)
		m.Reason.Operands["margin"] = num(best.odds - all[1].odds)
	}
	return m
}

func score(sk compiledSkill, f Features, texts []foldedText) scored {
	c := scored{Candidate: prunella.Candidate{Skill: sk.Name, Pattern: sk.Pattern}, odds: prior}
	for _, rule := range sk.rules {
		answer := rule.holds(f, texts)
		switch {
		case answer.held && rule.Against:
			c.odds -= rule.Weight
			answer.reason.Operands["weight"] = num(-rule.Weight)
			c.Matched = append(c.Matched, answer.reason)
		case answer.held:
			c.odds += rule.Weight
			c.held++
			answer.reason.Operands["weight"] = num(rule.Weight)
			c.Matched = append(c.Matched, answer.reason)
		case !rule.Against:
			if answer.could {
				c.odds -= absence * rule.Weight
			}
			c.Missing = append(c.Missing, answer.reason)
		}
	}
	c.Score = 1 / (1 + math.Exp(-c.odds))
	return c
}

// answer is what one rule says: it held; or there was data and it did not
// (could); or there was none.
type answer struct {
	held, could bool
	reason      prunella.Reason
}

func (r compiledRule) because(held, could bool, text string, operands map[string]string) answer {
	if operands == nil {
		operands = map[string]string{}
	}
	operands["kind"] = string(r.Kind)
	return answer{held, could, prunella.Reason{Name: r.ID, Text: text, Operands: operands}}
}

func (r compiledRule) holds(f Features, texts []foldedText) answer {
	if r.broken != nil {
		return r.because(false, false, "the rule cannot be used: "+r.broken.Error(), nil)
	}
	switch r.Kind {
	case prunella.KindMetric:
		return r.metric(f)
	case prunella.KindChange:
		return r.change(f)
	case prunella.KindAlert:
		return r.alert(f)
	}
	return r.log(texts)
}

func (r compiledRule) metric(f Features) answer {
	status, _, _ := strings.Cut(r.Metric, ".")
	e, ok := f.Errors[status]
	if !ok {
		return r.because(false, len(f.Errors) > 0, "no request of these services failed with "+status+", or nobody counts them", nil)
	}
	operands := map[string]string{
		"value": num(e.Value), "baseline": num(e.Baseline), "ratio": num(e.Ratio), "share": num(e.Share), "services": strconv.Itoa(e.Services),
		"known": strconv.FormatBool(e.Known), "sustained_s": num(e.Sustained.Seconds()), "onset_s": num(e.Rise.Seconds()),
	}
	held := e.Ratio > 5
	if r.when != nil {
		var err error
		held, err = r.when.Eval(map[string]any{
			"value": e.Value, "baseline": e.Baseline, "ratio": e.Ratio, "share": e.Share, "services": float64(e.Services),
			"known": e.Known, "sustained_s": e.Sustained.Seconds(), "onset_s": e.Rise.Seconds(),
		})
		if err != nil {
			return r.because(false, false, err.Error(), operands)
		}
	}
	text := fmt.Sprintf("%s is %s/s, in quiet times %s/s", r.Metric, num(e.Value), num(e.Baseline))
	if !e.Known {
		text += " (not enough history)"
	}
	return r.because(held, e.Known, text, operands)
}

func (r compiledRule) change(f Features) answer {
	var found []prunella.Change
	for _, c := range f.Changes {
		if c.Name != r.Change {
			continue
		}
		if !f.Onset.IsZero() && (c.At.After(f.Onset.Add(lateness)) || r.Within > 0 && f.Onset.Sub(c.At) > r.Within) {
			continue
		}
		found = append(found, c)
	}
	operands := map[string]string{"change": r.Change, "count": strconv.Itoa(len(found))}
	if len(found) == 0 {
		return r.because(false, len(f.Changes) > 0, "no "+r.Change+" before the onset", operands)
	}
	services := map[string]bool{}
	for _, c := range found {
		services[c.Service] = true
	}
	if held, err := r.test(len(found), len(services), float64(len(found))/float64(len(f.Changes))); err != nil || !held {
		return r.because(false, err == nil, because(err, "too few changes"), operands)
	}
	last := found[len(found)-1]
	operands["service"], operands["kid"] = last.Service, last.Kid
	text := fmt.Sprintf("%s of %s", r.Change, last.Service)
	if !f.Onset.IsZero() {
		before := f.Onset.Sub(last.At)
		operands["before_onset_s"] = num(before.Seconds())
		if before >= 0 {
			text += fmt.Sprintf(" %s before the onset", before.Round(100*time.Millisecond))
		} else {
			text += fmt.Sprintf(", seen %s after the onset", (-before).Round(100*time.Millisecond))
		}
	}
	return r.because(true, true, text, operands)
}

func (r compiledRule) alert(f Features) answer {
	n, services, example := 0, map[string]bool{}, ""
	for _, s := range f.Alerts {
		if !f.Onset.IsZero() && r.Within > 0 && f.Onset.Sub(s.Time) > r.Within {
			continue
		}
		if r.says(foldText(s.Name + " " + s.Body)) {
			n++
			services[s.Service] = true
			if example == "" {
				example = firstOf(s.Name, s.Body)
			}
		}
	}
	return r.counted(n, len(services), len(f.Alerts), example)
}

func (r compiledRule) log(texts []foldedText) answer {
	n, total, services, example := 0, 0, map[string]bool{}, ""
	for _, t := range texts {
		total += t.count
		if !r.says(t) {
			continue
		}
		n += t.count
		for _, s := range t.services {
			services[s] = true
		}
		if example == "" {
			example = t.example
		}
	}
	return r.counted(n, len(services), total, example)
}

func (r compiledRule) counted(n, services, total int, example string) answer {
	operands := map[string]string{"count": strconv.Itoa(n), "services": strconv.Itoa(services), "of": strconv.Itoa(total)}
	if n == 0 {
		return r.because(false, total > 0, "nobody says so", operands)
	}
	if held, err := r.test(n, services, float64(n)/float64(max(1, total))); err != nil || !held {
		return r.because(false, err == nil, because(err, "said too seldom"), operands)
	}
	operands["example"] = shorten(example, 200)
	return r.because(true, true, fmt.Sprintf("said %d times: %s", n, shorten(example, 120)), operands)
}

// test evaluates when over counts; without a when, one is enough.
func (r compiledRule) test(count, services int, share float64) (bool, error) {
	if r.when == nil {
		return true, nil
	}
	return r.when.Eval(map[string]any{"count": float64(count), "services": float64(services), "share": share})
}

func because(err error, otherwise string) string {
	if err != nil {
		return err.Error()
	}
	return otherwise
}

// foldedText is a text in the forms that phrases and expressions are held
// against: as it was said, its template, and its template without variables
// ("key id not found" of "key ID 'x' not found").
type foldedText struct {
	example  string
	forms    []string // folded
	raw      []string
	count    int
	services []string
}

func foldTexts(groups []prunella.TextGroup) []foldedText {
	out := make([]foldedText, 0, len(groups))
	for _, g := range groups {
		t := foldText(g.Example)
		bare := strings.Fields(g.Template)
		kept := bare[:0]
		for _, w := range bare {
			if !strings.Contains(w, wild) {
				kept = append(kept, w)
			}
		}
		t.forms = append(t.forms, fold(g.Template), fold(strings.Join(kept, " ")))
		t.count, t.services = max(1, g.Count), g.Services
		out = append(out, t)
	}
	return out
}

func foldText(s string) foldedText {
	forms := []string{fold(s)}
	if p := fold(prunella.Prose(s)); p != forms[0] { // err=unknown_kid says "unknown kid"
		forms = append(forms, p)
	}
	return foldedText{example: s, forms: forms, raw: []string{s}, count: 1}
}

func (r compiledRule) says(t foldedText) bool {
	for _, p := range r.phrases {
		for _, form := range t.forms {
			if strings.Contains(form, p) {
				return true
			}
		}
	}
	if r.regex == nil {
		return false
	}
	for _, s := range t.raw {
		if r.regex.MatchString(s) {
			return true
		}
	}
	return false
}

// fold makes texts comparable: lower case, white space as single blanks,
// typographic quotes plain.
func fold(s string) string {
	s = strings.NewReplacer("’", "'", "‘", "'", "“", `"`, "”", `"`).Replace(strings.ToLower(s))
	return strings.Join(strings.Fields(s), " ")
}
