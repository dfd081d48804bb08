package skill

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// FollowUp is something that was to be done so that the failure does not come back.
type FollowUp struct {
	Text      string `json:"text"`
	Done      bool   `json:"done"`
	State     string `json:"state"`                // "done" or "open"
	Since     string `json:"since"`                // as written: "March", "v3.4.0", "2026-03-08"; "" when not said
	SinceDate string `json:"since_date,omitempty"` // the day, 2026-03-08, or month, 2026-03, that it stands for
	Line      int    `json:"line"`
}

var (
	openWords = regexp.MustCompile(`(?i)\bnot (?:yet )?(?:done|shipped|started|implemented|fixed|resolved|closed|merged|released|complete[d]?)\b|\b(?:ticket |still |is )?open(?:ed)?\s+(?:since|in|on)\b|[(—–:]\s*(?:still )?open\b|\bpending\b|\bin progress\b|\bto ?do\b|\bplanned\b|\bunresolved\b|\bstill open\b`)
	doneWords = regexp.MustCompile(`(?i)✅|☑|✔|\b(?:done|completed|shipped|implemented|fixed|deployed|merged|released|landed|closed|delivered|rolled out)\s+(?:in|on|since|with|by|as of|at)\b|[(—–:\[]\s*(?:done|completed?|shipped|implemented|fixed|merged|released|closed|resolved)\s*(?:[)\].,;]?\s*$|\()|^\W*(?:done|completed)\b\W|\((?:done|completed|shipped|implemented|fixed|closed|resolved)\b|\bstatus:?\s*(?:done|closed|completed?|resolved)\b`)
	since     = regexp.MustCompile(`(?i)\b(?:since|done in|done on|done|open(?:ed)? (?:in|on)|(?:completed|shipped|implemented|fixed|deployed|merged|released|landed|closed|delivered|rolled out)\s+(?:in|on|with|by|at)|as of)[:\s]+([^),;(\]]+)`)
	sinceIn   = regexp.MustCompile(`(?i)\b(?:done|completed?|shipped|implemented|fixed|merged|released|closed|resolved)\s*\(\s*((?:v?\d|q[1-4]\b|` + longMonth + `\b)[^)]*)\)`)
	struck    = regexp.MustCompile(`(?i)^~~.*~~(?:\W*|\W+(?:done|completed?|shipped|implemented|fixed|merged|released|closed|resolved)\b.*)$`)
)

// FollowUps reads the sections about what should keep the failure away. What
// does not say that it is done is open.
func (d *Document) FollowUps() []FollowUp {
	out := []FollowUp{}
	around := d.newestDate()
	for _, i := range d.itemsOf(FollowUps) {
		f := FollowUp{Text: i.Text, Line: i.Line, State: "open"}
		switch {
		case i.Box == "x" || i.Box == "" && struck.MatchString(i.Text):
			f.Done = true
		case i.Box == " " || openWords.MatchString(i.Text):
		default:
			f.Done = doneWords.MatchString(i.Text)
		}
		if f.Done {
			f.State = "done"
		}
		text := emphasis.Replace(i.Text)
		m := since.FindStringSubmatch(text)
		if m == nil {
			m = sinceIn.FindStringSubmatch(text)
		}
		if m != nil {
			f.Since, _, _ = strings.Cut(strings.TrimRight(strings.TrimSpace(m[1]), ".|~* "), ". ")
			f.SinceDate = dateIn(f.Since, around)
		}
		out = append(out, f)
	}
	return out
}

// newestDate is the latest day that the file names; the zero time for none.
func (d *Document) newestDate() time.Time {
	var newest time.Time
	for _, s := range isoDate.FindAllString(string(d.src), -1) {
		if t, err := time.Parse(time.DateOnly, s); err == nil && t.After(newest) {
			newest = t
		}
	}
	return newest
}

// SourceRef is where a skill was learned.
type SourceRef struct {
	Text    string   `json:"text"`
	Channel string   `json:"channel,omitempty"` // "#incidents"
	Date    string   `json:"date,omitempty"`    // 2026-04-19
	People  []string `json:"people,omitempty"`
	Note    string   `json:"note,omitempty"` // what stands in brackets: "referenced"
	URL     string   `json:"url,omitempty"`
}

var (
	arrow     = regexp.MustCompile(`^(?:→|->|=>|›|»|-|\*|•)\s*`)
	channel   = regexp.MustCompile(`#[\p{L}][\p{L}\p{N}_-]*`)
	brackets  = regexp.MustCompile(`\(([^()]*)\)`)
	splitter  = regexp.MustCompile(`\s*[·•|]\s*|\s+[–—-]\s+`)
	aPerson   = regexp.MustCompile(`^@?[\p{L}][\p{L}.'_-]*(?: [\p{L}][\p{L}.'_-]*)?$`)
	isoDate   = regexp.MustCompile(`\b(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b`)
	longMonth = `(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)`
	dayMonth  = regexp.MustCompile(`(?i)\b(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?[\s-]+` + longMonth + `\.?,?[\s-]+((?:19|20)\d\d)\b`)
	monthDay  = regexp.MustCompile(`(?i)\b` + longMonth + `\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+((?:19|20)\d\d)\b`)
	monthYear = regexp.MustCompile(`(?i)\b` + longMonth + `\.?,?\s+((?:19|20)\d\d)\b`)
	monthOnly = regexp.MustCompile(`(?i)^` + longMonth + `$`)
	slashDate = regexp.MustCompile(`\b((?:19|20)\d\d)[/.](\d{1,2})[/.](\d{1,2})\b`)
	dotDate   = regexp.MustCompile(`\b(\d{1,2})\.(\d{1,2})\.((?:19|20)\d\d)\b`)
	yearMonth = regexp.MustCompile(`^((?:19|20)\d\d)-(0[1-9]|1[0-2])$`)
)

// ReadSource takes the words of one place where a skill was learned apart:
// "#incidents · 2026-04-19 · maya, sam".
func ReadSource(text string) SourceRef {
	s := SourceRef{Text: arrow.ReplaceAllString(strings.TrimSpace(text), "")}
	rest := s.Text
	if u := urlLink.FindString(rest); u != "" {
		s.URL = u
		rest = strings.Replace(rest, u, " ", 1)
	}
	if m := brackets.FindStringSubmatch(rest); m != nil {
		s.Note = strings.TrimSpace(m[1])
		rest = brackets.ReplaceAllString(rest, " ")
	}
	s.Channel = channel.FindString(rest)
	s.Date = dateIn(rest, time.Time{})
	for _, part := range splitter.Split(rest, -1) {
		var people []string
		for _, name := range strings.Split(part, ",") {
			if name = strings.TrimSpace(name); !aPerson.MatchString(name) {
				people = nil
				break
			}
			people = append(people, name)
		}
		s.People = append(s.People, people...)
	}
	return s
}

// permalinkTime finds the time in the address of a message: p and the seconds
// and microseconds since 1970.
var permalinkTime = regexp.MustCompile(`/p(\d{10})\d{6}\b`)

// day is when the conversation was, by its date or its address; zero when
// neither tells.
func (s SourceRef) day() time.Time {
	if m := permalinkTime.FindStringSubmatch(s.URL); m != nil {
		if seconds, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			return time.Unix(seconds, 0).UTC()
		}
	}
	at, err := time.Parse(time.DateOnly, s.Date)
	if err != nil {
		return time.Time{}
	}
	return at
}

// Provenance lists where the skill was learned: what the front matter has as
// extracted-from, its entries apart by ; or line, or else the items of Source
// that name a channel or a day, without tables.
func (d *Document) Provenance() []SourceRef {
	out := []SourceRef{}
	if v, ok := d.Meta("extracted-from"); ok && strings.TrimSpace(v) != "" {
		for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == ';' || r == '\n' }) {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, ReadSource(part))
			}
		}
		return out
	}
	for _, i := range d.itemsOf(Source) {
		if i.Marker == "|" {
			continue // a table is the history of the failure or of the page
		}
		if s := ReadSource(i.Text); s.Channel != "" || s.Date != "" {
			out = append(out, s)
		}
	}
	return out
}

// ReadDate turns the ways in which pages write a day into 2006-01-02, or a
// month into 2006-01; "" when it cannot be told, as for 04/05/2026.
func ReadDate(text string) string { return dateIn(text, time.Time{}) }

// dateIn finds the first date of a text. A month without a year is the last
// such month up to around.
func dateIn(text string, around time.Time) string {
	text = strings.TrimSpace(text)
	if m := isoDate.FindString(text); m != "" {
		return m
	}
	if m := slashDate.FindStringSubmatch(text); m != nil {
		return day(m[1], m[2], m[3])
	}
	if m := dotDate.FindStringSubmatch(text); m != nil {
		return day(m[3], m[2], m[1])
	}
	if m := dayMonth.FindStringSubmatch(text); m != nil {
		return day(m[3], fmt.Sprint(month(m[2])), m[1])
	}
	if m := monthDay.FindStringSubmatch(text); m != nil {
		return day(m[3], fmt.Sprint(month(m[1])), m[2])
	}
	if m := monthYear.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%s-%02d", m[2], month(m[1]))
	}
	if yearMonth.MatchString(text) {
		return text
	}
	if m := monthOnly.FindStringSubmatch(text); m != nil && !around.IsZero() {
		year, number := around.Year(), month(m[1])
		if number > int(around.Month()) {
			year--
		}
		return fmt.Sprintf("%04d-%02d", year, number)
	}
	return ""
}

func month(name string) int {
	return strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(name[:3]))/3 + 1
}

func day(year, month, day string) string {
	t, err := time.Parse("2006-1-2", year+"-"+month+"-"+day)
	if err != nil {
		return ""
	}
	return t.Format(time.DateOnly)
}

var (
	percent  = regexp.MustCompile(`(\d{1,3}(?:[.,]\d+)?)\s*(?:%|percent\b|/\s*100\b)`)
	fraction = regexp.MustCompile(`^\s*(0?[.,]\d+|0|1(?:[.,]0+)?)\s*$`)
)

// ReadConfidence turns "88%", "88 / 100" or "0.88" into 0.88.
func ReadConfidence(text string) (float64, bool) {
	number, scale := "", 1.0
	if m := percent.FindStringSubmatch(text); m != nil {
		number, scale = m[1], 100
	} else if m := fraction.FindStringSubmatch(text); m != nil {
		number = m[1]
	}
	f, err := strconv.ParseFloat(strings.Replace(number, ",", ".", 1), 64)
	if err != nil || f < 0 || f > scale {
		return 0, false
	}
	return f / scale, true
}

// Claims are what the page says of itself and nobody measured: its confidence,
// from 0 to 1, and the day when it was last verified; nil when it says nothing.
func (d *Document) Claims() (confidence *float64, verified *string) {
	if v, ok := d.Meta("claimed-confidence"); ok {
		if f, ok := ReadConfidence(v); ok {
			confidence = &f
		}
	}
	if v, ok := d.Meta("last-verified"); ok {
		if day := ReadDate(v); day != "" {
			verified = &day
		}
	}
	return confidence, verified
}
