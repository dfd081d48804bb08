package prunella_test

import (
	"fmt"
	"strings"
	"testing"

	"prunella"
)

func TestStatements(t *testing.T) {
	for text, want := range map[string]string{
		"100% of authenticated requests returning 'unauthorized'":                 "requests 1 0/0",
		"37.5 percent of checkouts fail since 10:02":                              "checkouts 0.375 0/0",
		"key distribution webhook failed for 4 of 7 downstream services":          "services 0.571 4/7",
		"delivery failed: four out of seven microservices never received the key": "microservices 0.571 4/7",
		"3/5 pods unreachable": "pods 0.6 3/5",
		"delivery of the key could not be verified for 5/8 consumers":                 "consumers 0.625 5/8",
		"4 out of 10 webhook deliveries exhausted their retries":                      "deliveries 0.4 4/10",
		"new key distributed to only 3 of 7 services":                                 "services 0.571 4/7",
		"the key only reached two of six verifiers":                                   "verifiers 0.667 4/6",
		"two of nine applications did not acknowledge the new signing key":            "applications 0.222 2/9",
		"4 services affected by a half-done key push":                                 "services 0 4/0",
		"rejecting all authentication tokens — verification fails":                    "tokens 1 0/0",
		"every API call answering 'unauthorized: bad signature'":                      "call 1 0/0",
		"every login fails with 401":                                                  "login 1 0/0",
		"all 7 services are down":                                                     "services 1 7/7",
		"error rate 45%, p99 2 s":                                                     "requests 0.45 0/0",
		"401 rate at 12 %":                                                            "requests 0.12 0/0",
		"checkout is completely unavailable":                                          "requests 1 0/0",
		"none of that matters. All tokens are rejected. 2 of 9 nodes failed.":         "tokens 1 0/0; nodes 0.222 2/9",
		"users cannot sign in":                                                        "",
		"0 of 7 services affected":                                                    "",
		"0% of requests failing":                                                      "",
		"100% of requests succeed":                                                    "",
		"no longer affected: 4 of 7 services":                                         "",
		"not all users are affected by the errors":                                    "",
		"all requests are fine":                                                       "",
		"if this fails, 100% of requests would be rejected":                           "",
		"disk 93% full":                                                               "",
		"7 of 7 services healthy":                                                     "",
		"error budget: 120% of requests failed":                                       "",
		"recovered: error rate 0.1% now":                                              "",
		"released 4 services":                                                         "",
		strings.Repeat("x, ", 5000) + "100% of requests failing":                      "",
		"100% of requests fail but 3 of 7 services recovered while 2 of 7 nodes fail": "requests 1 0/0; nodes 0.286 2/7",
	} {
		var got []string
		for _, s := range prunella.Statements(text) {
			got = append(got, fmt.Sprintf("%s %.3g %d/%d", s.Of, s.Share, s.Hit, s.Count))
		}
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("Statements(%.80q)\n got %s\nwant %s", text, g, want)
		}
	}
}

func FuzzStatements(f *testing.F) {
	for _, s := range []string{"100% of requests fail", "4 of 7 services down", "all tokens rejected", "error rate 5%", "", "\xff%", "9999 of 1 services failed", "0/0 nodes failed"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range prunella.Statements(text) {
			if s.Share < 0 || s.Share > 1 || s.Hit < 0 || s.Count > 0 && s.Hit > s.Count || s.Of == "" || s.Share == 0 && s.Hit == 0 {
				t.Fatalf("%q states %+v", text, s)
			}
		}
	})
}
