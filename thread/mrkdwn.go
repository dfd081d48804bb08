package thread

import (
	"strings"

	"prunella/thread/pattern"
)

// fence is a block of preformatted text.
type fence struct {
	lang string // "yaml", where the author named it
	code string
}

// line is one line of prose. Text has mentions and links written out, inline
// code between backticks, and no decoration.
type line struct {
	text   string
	item   bool // of a list, or with a box
	done   bool // a ticked box, or struck out with a tick
	boxed  bool
	quoted bool   // somebody else's words
	head   string // what stands first in bold, italics or after '#'; "" when nothing does
	struck []string
}

// piece is a line or a fence, in the order of the message.
type piece struct {
	line  line
	fence *fence
}

var (
	angle     = pattern.MustCompile(`<([^<>\n]+)>`)
	entity    = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
	listMark  = pattern.MustCompile(`^\s*(?:[-*•◦▪‣–]|\d{1,2}[.)]|:[a-z_]+:\s*-)\s+`)
	box       = pattern.MustCompile(`^\s*(?:[-*•]\s*)?(?:\[([ xX✓✔]?)\]|(:white_check_mark:|:heavy_check_mark:|:ballot_box_with_check:|✅|☑️?|✔️?)|(:white_large_square:|:white_square:|⬜|☐))\s*`)
	strike    = pattern.MustCompile(`(^|[\s(])~([^~\n]+)~($|[\s).,;:!?])`)
	bold      = pattern.MustCompile(`(^|[\s(\[{"'/>])\*\*?([^*\n]*[^\s*])\*\*?`)
	italic    = pattern.MustCompile(`(^|[\s(\[{"'/>])_([^_\n]*[^\s_])_($|[\s)\]}"',.:;!?/])`)
	emoji     = pattern.MustCompile(`(^|[\s(\[,.;!?])(?::[a-z0-9_+'-]*[a-z+][a-z0-9_+'-]*:)+`)
	pictures  = pattern.MustCompile(`[\x{1F000}-\x{1FAFF}\x{2600}-\x{27BF}\x{2B00}-\x{2BFF}\x{FE0F}\x{200D}]+`)
	headRE    = pattern.MustCompile(`^\s*(?:(?::[a-z0-9_+-]+:\s*)*\*{1,2}([^*\n]{2,60})\*{1,2}|_([^_\n]{2,60})_|#{1,4} ([^#\n]{2,60}))(?:\s*[:(–—-]|\s*$|\s)`)
	fenceLang = pattern.MustCompile(`^(bash|sh|shell|zsh|console|shell-session|yaml|yml|json|toml|ini|hcl|terraform|sql|psql|mysql|promql|logql|python|py|go|java|js|ts|ruby|text|txt|log|diff|xml|nginx|conf|properties|dockerfile|makefile|powershell|ps1)\s*\n`)
	spaces    = pattern.MustCompile(`[ \t\x{00A0}]+`)
)

// pieces divides mrkdwn into lines of prose and fences.
func pieces(text string, dir *Directory) []piece {
	var out []piece
	for text != "" {
		before, rest, open := strings.Cut(text, "```")
		for text := range strings.SplitSeq(before, "\n") {
			if p, ok := prose(text, dir); ok {
				out = append(out, piece{line: p})
			}
		}
		if !open {
			break
		}
		code, after, closed := strings.Cut(rest, "```")
		if !closed {
			after = ""
		}
		if f, ok := fenced(code, dir); ok {
			out = append(out, piece{fence: &f})
		}
		text = after
	}
	return out
}

func fenced(code string, dir *Directory) (fence, bool) {
	f := fence{}
	code = strings.ReplaceAll(code, "\r\n", "\n")
	code = entity.Replace(plainLinks(code, dir))
	if m := fenceLang.FindStringSubmatch(code); m != nil {
		f.lang, code = m[1], code[len(m[0]):]
	}
	f.code = strings.Trim(strings.TrimRight(code, " \t\n"), "\n")
	return f, strings.TrimSpace(f.code) != ""
}

// plainLinks writes <…> out: names of people and channels, labels of links.
func plainLinks(s string, dir *Directory) string {
	if !strings.Contains(s, "<") {
		return s
	}
	return angle.ReplaceAllStringFunc(s, func(m string) string {
		target, label, labelled := strings.Cut(m[1:len(m)-1], "|")
		switch {
		case strings.HasPrefix(target, "@"):
			if labelled {
				return "@" + strings.TrimPrefix(label, "@")
			}
			return dir.person(target[1:])
		case strings.HasPrefix(target, "#"):
			if labelled && label != "" {
				return "#" + strings.TrimPrefix(label, "#")
			}
			return "#" + dir.channelName(target[1:])
		case strings.HasPrefix(target, "!"):
			kind, rest, _ := strings.Cut(target[1:], "^")
			switch {
			case labelled && label != "" && kind == "subteam":
				return "@" + strings.TrimPrefix(label, "@")
			case labelled && label != "":
				return label
			case kind == "subteam":
				return "@" + rest
			}
			return "@" + kind
		case !labelled || label == "":
			return strings.TrimPrefix(strings.TrimPrefix(target, "mailto:"), "tel:")
		case strings.Contains(target, "/archives/"): // a permalink says more than its label
			return label + " (" + target + ")"
		}
		return label
	})
}

// person is how an id is written in text: "@sam".
func (d *Directory) person(id string) string {
	if u, ok := d.Users[id]; ok && (u.Name != "" || u.Display != "") {
		return "@" + handle(u)
	}
	return "@" + id
}

// handle is the name that people are called by in texts: without spaces.
func handle(u User) string {
	if u.Name != "" {
		return u.Name
	}
	return strings.ToLower(strings.ReplaceAll(u.Display, " ", "."))
}

func (d *Directory) channelName(id string) string {
	if c, ok := d.Channels[id]; ok {
		return c.Name
	}
	return id
}

// prose reads one line. Decoration inside inline code is left alone.
func prose(s string, dir *Directory) (line, bool) {
	var l line
	s = strings.TrimRight(s, "\r")
	for strings.HasPrefix(s, "&gt;") || strings.HasPrefix(s, ">") {
		l.quoted = true
		s = strings.TrimPrefix(strings.TrimPrefix(s, "&gt;"), ">")
		s = strings.TrimPrefix(s, " ")
	}
	if m := box.FindStringSubmatch(s); m != nil {
		l.item, l.boxed = true, true
		l.done = m[2] != "" || strings.TrimSpace(m[1]) != ""
		s = s[len(m[0]):]
	} else if m := listMark.FindString(s); m != "" {
		l.item = true
		s = s[len(m):]
	}
	if m := headRE.FindStringSubmatch(s); m != nil {
		l.head = strings.Trim(m[1]+m[2]+m[3], " :")
	}
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 { // an odd backtick: the last one opens nothing
		last := len(parts) - 1
		parts[last-1] += "`" + parts[last]
		parts = parts[:last]
	}
	var b strings.Builder
	for i, p := range parts {
		p = plainLinks(p, dir)
		if i%2 == 1 {
			if strings.TrimSpace(p) != "" {
				b.WriteString("`" + entity.Replace(p) + "`")
			}
			continue
		}
		b.WriteString(l.undecorated(p))
	}
	l.text = strings.TrimSpace(spaces.ReplaceAllString(b.String(), " "))
	return l, l.text != "" || len(l.struck) > 0
}

func (l *line) undecorated(p string) string {
	if strings.Contains(p, "~") {
		p = strike.ReplaceAllStringFunc(p, func(m string) string {
			g := strike.FindStringSubmatch(m)
			l.struck = append(l.struck, entity.Replace(g[2]))
			return g[1] + g[3]
		})
	}
	if strings.Contains(p, "*") {
		p = bold.ReplaceAllString(p, "$1$2")
	}
	if strings.Contains(p, "_") {
		p = italic.ReplaceAllString(p, "$1$2$3")
	}
	return entity.Replace(p)
}

// withoutEmoji takes emoji out of a sentence that is kept.
func withoutEmoji(s string) string {
	if strings.Contains(s, ":") {
		s = emoji.ReplaceAllString(s, "$1")
	}
	s = pictures.ReplaceAllString(s, "")
	return strings.TrimSpace(spaces.ReplaceAllString(s, " "))
}
