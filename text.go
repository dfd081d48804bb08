package prunella

import "time"

// TextGroup is the texts of one Template: what an incident's log lines, alerts
// and monitor messages come down to.
type TextGroup struct {
	Template string    `json:"template"` // masked line
	Example  string    `json:"example"`  // one of them, verbatim
	Count    int       `json:"count"`
	Services []string  `json:"services"` // who said it, sorted; the observed service, not the monitor
	Monitors []string  `json:"monitors"` // Sources, sorted
	Severity Severity  `json:"severity"` // the worst of them
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}
