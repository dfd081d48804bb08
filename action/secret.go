package action

import (
	"regexp"
	"slices"
	"strings"

	"prunella"
)

// secrets takes what must not be seen out of texts.
type secrets struct{ known []string }

func secretsOf(inv prunella.Inventory) secrets {
	var known []string
	add := func(s string) {
		// A very short "secret" is a placeholder, and hiding it would mangle every text.
		if len(s) >= 6 {
			known = append(known, s)
		}
	}
	for _, i := range inv.Issuers {
		add(i.ClientSecret)
		if i.Admin != nil {
			add(i.Admin.Token)
		}
	}
	if inv.Kubernetes != nil {
		add(inv.Kubernetes.Token)
	}
	for _, r := range inv.Releases {
		add(r.Token)
	}
	// The longest first, so that a secret that holds another leaves nothing behind.
	slices.SortFunc(known, func(a, b string) int { return len(b) - len(a) })
	return secrets{known}
}

var (
	jwtLike    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*`)
	bearerLike = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/-]{16,}=*`)
)

const hidden = "[secret]"

func (s secrets) clean(text string) string {
	for _, k := range s.known {
		text = strings.ReplaceAll(text, k, hidden)
	}
	text = jwtLike.ReplaceAllString(text, hidden)
	return bearerLike.ReplaceAllString(text, "$1 "+hidden)
}
