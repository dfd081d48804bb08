package lab

import "fmt"

// refusalTexts are the sentences that different teams wrap around the error of
// their verifier. The path comes first, the error second.
var refusalTexts = []string{
	"authentication failed for GET %[1]s: %[2]v",
	"401 on %[1]s, bearer token not accepted: %[2]v",
	"jwt check: denied %[1]s (%[2]v)",
	"AuthFilter - request to %[1]s has no valid credentials; cause: %[2]v",
	"could not authenticate caller of %[1]s: %[2]v",
	"access token rejected path=%[1]s err=%[2]q",
	"edge auth: dropping request %[1]s, token verification error: %[2]v",
}

func refusalText(ordinal int, path string, err error) string {
	return fmt.Sprintf(refusalTexts[ordinal%len(refusalTexts)], path, err.Error())
}

// namesKid says whether this team's log carries the kid as an attribute; some
// teams do not think of it.
func namesKid(ordinal int) bool { return ordinal%4 != 3 }

// upstreamTexts are about a failed call to another service: service, then what
// it answered.
var upstreamTexts = []string{
	"call to %[1]s failed: %[2]s",
	"upstream %[1]s answered %[2]s",
	"dependency error: %[1]s -> %[2]s",
}

func upstreamText(ordinal int, peer, answer string) string {
	return fmt.Sprintf(upstreamTexts[ordinal%len(upstreamTexts)], peer, answer)
}

// businessTexts are ordinary lines, one now and then, so that a quiet service
// is not a silent one.
var businessTexts = map[string]string{
	"user": "profile %d read", "order": "order %d listed", "payment": "charge %d captured", "inventory": "stock of item %d checked",
	"notification": "message %d queued", "search": "query %d answered", "gateway": "request %d routed",
}

func businessText(service string, n uint64) string {
	if f, ok := businessTexts[service]; ok {
		return fmt.Sprintf(f, n)
	}
	return fmt.Sprintf("%s handled request %d", service, n)
}
