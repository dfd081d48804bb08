package thread

import (
	"strings"

	"prunella/thread/pattern"
)

var (
	noMailEnd  = pattern.MustCompile(`(?i)\.(?:png|jpe?g|gif|svg|webp|ico|css|js|ts|json|ya?ml|toml|lock|service|timer|socket|target|mount|local|internal|svc|cluster|lan|localdomain|zip|gz|tgz|tar)$`)
	noMailHost = pattern.MustCompile(`^v?\d+\.\d`)
	sshBefore  = pattern.MustCompile(`\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id|ssh-keyscan|autossh)\b[^\n|;&]*$`)
)

// isAddress tells e-mail addresses from what else has an @: remotes of git and
// ssh, versions of packages, units of systemd, files called icon@2x.png.
func isAddress(v, s string, start, stop int) bool {
	local, host, _ := strings.Cut(v, "@")
	if at := strings.LastIndex(v, "@"); at >= 0 {
		local, host = v[:at], v[at+1:]
	}
	switch {
	case noMailEnd.MatchString(host), noMailHost.MatchString(host):
		return false
	case start > 0 && (s[start-1] == '/' && !strings.HasSuffix(s[:start], "//") || s[start-1] == '@'):
		return false // org/package@name
	case strings.HasPrefix(s[stop:], ":") && len(s) > stop+1 && strings.IndexByte("/~", s[stop+1]) >= 0:
		return false // user@host:/path
	case local == "git":
		return false
	case strings.HasSuffix(s[:start], "://"):
		return false // ssh://user@host
	}
	line := s[strings.LastIndexByte(s[:start], '\n')+1 : start]
	return !sshBefore.MatchString(line)
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// Country codes of ITU-T E.164: one digit, two digits; everything else that
// begins like these has three.
var (
	codes1 = "17"
	codes2 = " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 "
	codes3 = pattern.MustCompile(`^(?:21[1-8]|22\d|23\d|24\d|25[0-8]|26\d|29[01789]|35\d|37\d|38[0-3579]|42[013]|50\d|59\d|67\d|68\d|69[0-2]|800|808|85[0-6]|87[08]|88[0-8]|96[0-8]|97\d|99[2-8])`)
	zeros  = pattern.MustCompile(`0{5,}$|^(?:\+|00)\d{1,3}(?:[ .]000)+$`)
	unit   = pattern.MustCompile(`(?i)^\s?(?:%|ms\b|sec|s\b|bytes?|[kmgt]i?b\b|req|rps|qps|rows?|msgs?|messages|events|records|users|usd|eur|€|\$|/s|per\b)`)
)

// isInternational accepts numbers in international form: a country code that
// exists and as many digits as numbers there have (E.164: 15 at most).
func isInternational(v, s string, start, stop int) bool {
	d := digits(v)
	double := strings.HasPrefix(v, "00")
	if double {
		d = d[2:]
	}
	if start > 0 && (isWordByte(s[start-1]) || s[start-1] == '.' || s[start-1] == ':') && !strings.HasSuffix(s[:start], "tel:") && !strings.HasSuffix(strings.ToLower(s[:start]), "phone:") {
		return false
	}
	if stop < len(s) && (isWordByte(s[stop]) || strings.IndexByte(":%_", s[stop]) >= 0) || stop+1 < len(s) && strings.IndexByte(".-/,", s[stop]) >= 0 && isWordByte(s[stop+1]) {
		return false
	}
	if zeros.MatchString(v) || unit.MatchString(s[stop:]) || len(d) < 8 || len(d) > 15 {
		return false
	}
	plain := !strings.ContainsAny(v, " .()/-\u00a0")
	switch {
	case double && plain && len(d) < 10:
		return false
	case d[0] == '1': // North America: three, three and four digits; area and exchange begin with 2 to 9
		return len(d) == 11 && d[1] >= '2' && d[4] >= '2'
	case strings.Contains(codes1, d[:1]):
		return len(d) == 11
	case strings.Contains(codes2, " "+d[:2]+" "):
		return !plain || len(d) >= 10
	case codes3.MatchString(d):
		return !plain || len(d) >= 10
	}
	return false
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

var numberOf = pattern.MustCompile(`(?i)(?:order|ticket|case|ref(?:erence)?|id|invoice|build|serial|tracking|account|batch|job|version|sku|part|rma|no|nr|#)(?:\s+(?:number|no|nr|id))?[\s.:#=]*$`)

func isNorthAmerican(v, s string, start, stop int) bool {
	if start > 0 && (isWordByte(s[start-1]) || strings.IndexByte("-.:/=+", s[start-1]) >= 0) || stop < len(s) && (isWordByte(s[stop]) || stop+1 < len(s) && strings.IndexByte("-.:/", s[stop]) >= 0 && isWordByte(s[stop+1])) {
		return false
	}
	if numberOf.MatchString(s[max(0, start-30):start]) || unit.MatchString(s[stop:]) {
		return false
	}
	if v[0] == '(' {
		return true
	}
	seps := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, v)
	return len(seps) == 2 && seps[0] == seps[1] && seps[0] != ' '
}

var dateOrAddress = pattern.MustCompile(`^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,3}(?:\.\d{1,3}){3}|\d{10}\.\d+)`)

func isDateOrAddress(v string) bool { return dateOrAddress.MatchString(v) }
