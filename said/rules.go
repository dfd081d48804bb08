package said

// wording is what means a class. Texts are matched as read returns them.
type wording struct {
	class Class
	any   []string
}

const (
	// what only a key that signs tokens is called; keyNoun also as a whole set
	oneKey  = `(?:signing keys?|signature keys?|verification keys?|matching (?:keys?|jwks?)|kids?|jwk|json web keys?|key ids?|key identifiers?|keyid|jwt authorit(?:y|ies))`
	keyNoun = `(?:` + oneKey + `|jwks|jwk sets?)`
	// what other things are called too
	bareNoun = `(?:keys?|public keys?|certificates?)`
	// what is said of a thing that is not there
	absent = `(?:(?:was |were |is |are |be )?(?:not|never) (?:be |been )?(?:found|seen|known|recogni[sz]ed|present|available|listed|loaded|in (?:\S+ ){0,2}?(?:jwks?|keys?|key ?set|set|cache|store|keystore|key ?ring|list))|unknown|missing|absent|unrecogni[sz]ed|(?:does|do)(?:n't| not) (?:exist|correspond)|isn't (?:in|known)|cannot be (?:found|resolved)|could(?:n't| not) be (?:found|located|resolved)|can't be found|notfound)`
	// how a search that found nothing is said
	fruitless = `(?:unable to (?:find|locate|match|resolve|look ?up|determine|get|identify)|could(?:n't| not) (?:find|locate|match|resolve|look ?up|determine)|can(?:not|'t) (?:find|locate|match|resolve|look ?up)|fail(?:ed|s|ure)? to (?:find|locate|match|resolve|look ?up)|did(?:n't| not) find|unknown|unrecogni[sz]ed|missing|no such|no matching|no applicable|no suitable|no appropriate|no compatible|no trusted|no known|no corresponding|no candidate|no)`
	// how a collection is said to lack
	lacks = `(?:does|do|did)(?:n't| not) (?:have|contain|include|hold|list|know) (?:any |a |an |the |this |that )?(?:\S+ ){0,2}?`
	// where keys are published
	keyPlace = `(?:jwks?\b|jwk sets?|json web key sets?|jwks[_. -]?(?:uri|url|json|endpoint)|key ?sets?|openid[- ]configuration|oidc (?:discovery|metadata|configuration|config)|discovery document|provider (?:metadata|configuration)|\.well-known|keys? endpoint|keys from|certs endpoint|configuration (?:with|of|for|from) .{0,20}issuer|https?://\S*(?:jwks?|certs|keys|well-known|openid)\b\S*)`
	broken   = `(?:fail|error|refused|timed? ?out|timeout|unreachable|unavailable|unable|no such host|reset by peer|\b5\d\d\b|deadline exceeded|i/o|\beof\b|is down\b|went down|not respond)`
	fetching = `(?:fetch|retriev|download|load|refresh|obtain|get\b|getting|reach|resolv|call|contact|query|request(?:ing|ed| )|pull|updat)`
	// how a claim is said to be another than it should be; refused is what is said
	// of the whole claim only, since many other things fail
	refused  = `(?:rejected|validation failed|check failed|verification failed|failed (?:validation|check|verification)|disallowed|unacceptable|required)`
	mismatch = `(?:invalid|unexpected|wrong|bad|mismatch\w*|not allowed|not permitted|not accepted|not valid|not satisfied|not configured|not trusted|not match\w*|does(?:n't| not) (?:match|contain|include)|did(?:n't| not) match|do(?:n't| not) match|must be|must contain|expected|untrusted|unknown|incorrect|no match|different|not intended|not one\b|not among|not the (?:configured|expected|right|one)|not recogni[sz]ed|should be|differs?)`
)

// classWordings is in the order of how telling a class is: the first of a text's
// classes names it.
var classWordings = []wording{
	{UnknownKid, []string{
		`\b` + oneKey + `\b.{0,70}?\b` + absent,
		`\b` + oneKey + `\b.{0,20}\bunavailable`,
		`\b` + fruitless + ` (?:\S+ ){0,4}?["'(]*` + keyNoun + `\b`,
		lacks + keyNoun + `\b`,
		`(?:kid|key ?id(?:entifier)?)\b.{0,30}(?:mismatch|(?:does|did)(?:n't| not) match)|mismatch\w* .{0,20}\b(?:kid|key ?id)\b`,
		`(?:could(?:n't| not)|cannot|can't|failed to) (?:get|obtain|retrieve|load) (?:the |a )?(?:public|signing|verification) key\b`,
		`lack(?:s|ing)? (?:the )?(?:\S+ ){0,3}?(?:key|kid)\b`,
		`(?:stale|outdated|obsolete) (?:public |signing |verification )*key\b`,
		`key .{0,30}does(?:n't| not) match (?:the )?current signing key`,
		`(?:old|previous) (?:public |signing )*key\b.{0,40}\bonly\b`,
		`(?:only (?:has|have|knows?|trusts?|holds?|accepts?)|(?:has|have|knows?|trusts?|holds?|accepts?) only) .{0,40}\b(?:old|previous)\b`,
		`(?:error|failure|problem)s? (?:while |when |on )?(?:resolving|finding|locating|looking up|getting|selecting) (?:\S+ ){0,3}?keys?\b`,
		`\bkeys?\b that .{0,30}(?:cannot|can't|could not) verify`,
		`signingkeynotfound|jwksnomatchingkey|keynotfound|unknownkid|invalidkid|"kid" invalid|kid invalid|invalid kid`,
		`idx10500|idx10501|idx10503|idx10516|idx10517`,
		`key .{0,30}\bnot (?:cached|loaded|trusted|distributed)\b`,
	}},
	{NotYetValid, []string{
		`not (?:yet )?valid (?:yet|before|until)|not yet (?:valid|active|usable|effective)|isn't valid yet|not valid yet`,
		`used (?:before|too early)|(?:cannot|can't|may not|must not) be used (?:yet|before)|before (?:the )?(?:issued|nbf|not[- ]before|use time)|not[- ]before|\bnbf\b|prior to`,
		`(?:issued|iat|issue time|issued[- ]at).{0,30}future|future.{0,20}\b(?:iat|nbf|issued)\b|\b(?:issued?|iat)\b.{0,20}\b(?:ahead of|later than) (?:the )?(?:current|now|our|system)`,
		`immature|premature ?jwt|\b(?:jwt|token) (?:is )?(?:too )?early\b|not active\b|must not be accepted before|notbefore`,
		`invalid "?'?iat|['"]?\biat\b['"]? (?:claim )?(?:not satisfied|timestamp check failed|check failed|is invalid)`,
		`idx10222`,
	}},
	{Expired, []string{
		`signatures? (?:has |is |was )?expired|expired signature|expiredsignature|tokenexpired|expiredjwt|expiredtoken|jwtexpired|\bexp\b.{0,20} not in (?:the )?future`,
		`['"]?\bexp\b['"]? .{0,30}(?:not satisfied|failed|in the past|passed|exceeded|elapsed|invalid)`,
		`(?:expiry|expiration|exp)(?: time| date| claim)? .{0,30}(?:in the past|passed|exceeded|elapsed|is before|was \d)`,
		`claim:? "?'?exp\b|past (?:its |the )?(?:expiry|expiration|exp\b)|idx10223|lifetime validation failed|no longer valid`,
		`token (?:is )?too old`,
	}},
	{Audience, []string{
		`\b(?:audiences?|aud)\b.{0,70}\b` + mismatch,
		`\b(?:audiences?|aud)\b.{0,40}\b` + refused,
		mismatch + `.{0,40}\b(?:audiences?|aud)\b`,
		`not (?:in|for|one of) (?:the |this |our |its )?(?:expected |allowed |accepted )?aud`,
		`\baud(?:ience)?s?\b.{0,40}\b(?:do(?:es)?(?:n't| not) exist|missing|absent|lacking)|(?:missing|lacks|without) (?:the |an? )?["']?aud(?:ience)?\b`,
		`invalidaudience|idx10208|idx10214|not intended for (?:this|us)`,
	}},
	{Issuer, []string{
		`\b(?:issuer|iss)\b.{0,50}\b` + mismatch,
		`\b(?:issuer|iss)\b.{0,40}\b` + refused,
		mismatch + `.{0,30}\b(?:issuer|iss)\b`,
		`invalidissuer|idx10205|idx40001|not issued by (?:\S+ ){0,3}?issuers?|issued by (?:a |an )?(?:different|other|unknown|untrusted)|no credentials found for given 'iss'`,
	}},
	{DeliveryFailed, []string{
		`\b(?:deliver\w*|distribut\w*|webhooks?|push(?:ed|ing)?|propagat\w*|fan-?out|replicat\w*|broadcast\w*)\b.{0,80}?(?:\bfail|refused|\berror|timed? ?out|incomplete|\bpartial|undeliver|dead[- ]letter|gave up|giving up|unreachable|did(?:n't| not) (?:reach|arrive)|could(?:n't| not)|\b5\d\d\b|not acknowledg|abandoned|exhausted)`,
		`(?:fail\w*|incomplete|partial\w*|could(?:n't| not)|unable to|error).{0,40}\b(?:deliver\w*|distribut\w*|push(?:ed|ing)?|propagat\w*|key rotation|key rollout)`,
		`(?:never|not|n't) (?:been )?(?:received?|got|told|notified|informed|given|delivered|pushed|distributed|propagated)\b.{0,40}\b(?:keys?|kid)\b|\bkeys?\b.{0,50}(?:never|not|n't) (?:yet )?(?:been )?(?:received?|delivered|pushed|distributed|propagated|arriv\w*|reach\w*)`,
		`(?:never|did(?:n't| not)|do(?:es)?(?:n't| not)) get\b.{0,40}\bkeys?\b`,
		`(?:push|pushed|deliver|delivered|distributed|propagated|sent) (?:only )?to (?:only )?(?:\S+ ){1,4}(?:services |verifiers )?only|only reached`,
		`(?:refused|econnrefused).{0,60}(?:key )?distribution`,
	}},
	{FetchFailed, []string{
		`(?:fail\w* to|could(?:n't| not)|unable to|cannot|can't|error) ` + fetching + `\w* (?:\S+ ){0,3}?(?:keys?|signers?|jwks?) from`,
		`\b(?:jwks?|jwk sets?|key ?sets?)\b.{0,60}?\bnot (?:yet )?(?:been )?(?:fetched|retrieved|downloaded|available|loaded|found)\b`,
		`\bno (?:\S+ )?(?:keys?|signers?|jwks?) (?:were |was |are |could be )?(?:fetched|retrieved|downloaded)\b`,
		broken + `.{0,60}https?://\S*(?:jwks?|certs|keys|well-known|openid)\b`,
		fetching + `\w*.{0,50}` + keyPlace + `.{0,140}` + broken,
		broken + `.{0,50}` + fetching + `\w*.{0,50}` + keyPlace,
		`(?:fail\w*|unable|could(?:n't| not)|cannot|can't|error)(?: to)? (?:\S+ ){0,3}?` + fetching + `\w* [^,;]{0,40}` + keyPlace,
		`(?:openid[- ]configuration|discovery document|provider metadata|\.well-known\S*|(?:certs|keys?) endpoint) (?:returned?|answer\w*|responded|gave) (?:with )?(?:http )?(?:status )?5\d\d`,
		`(?:public|signing|verification) keys could(?:n't| not) be (?:returned|fetched|retrieved|loaded|obtained|downloaded)`,
		`jwks?\b.{0,60}(?:unreachable|unavailable|timed? ?out|timeout|refused|\bis down\b|fetch.{0,12}fail|returned? (?:http )?(?:status )?5\d\d|answer\w* 5\d\d|\b50\d\b)`,
		`get keys failed|err jwks timeout|expected 200 ok from the json web key set|fail to fetch data from the url|error calling jwks|idx20803|idx20804|idx10803|cannot obtain jwks|remote jwk set|jwks remote fetch`,
		`(?:get|post|fetch|load|retrieve|download) "?'?https?://\S*(?:jwks|well-known|/certs|/keys)\S*.{0,60}` + broken,
	}},
	{KeyRemoved, []string{
		`\b(?:old|previous|prior|former|retired|outgoing|signing|public|current|active|\S*20\d\d\S*) (?:\S+ ){0,3}?keys?\b.{0,50}?\b(?:removed|purged|deleted|revoked|withdrawn|dropped|pulled|taken (?:out|from|off|away)|no longer (?:in|published|served|listed|present|advertised)|gone from|pruned|disappeared)\b`,
		`\b(?:old|previous|prior|former) one (?:was |is |has been )?(?:\S+ )?(?:removed|deleted|revoked|withdrawn|dropped|retired|taken (?:out|from|off|away))\b`,
		`\b(?:old|previous|prior|former|outgoing) (?:keys?|kids?)\b.{0,50}?\b(?:removed|purged|deleted|revoked|withdrawn|dropped|pulled|retired|no longer|gone|pruned|disappeared)\b`,
		`(?:removed|removing|purged|deleted|revoked|withdrew|retired|dropped|pulled|unpublished) (?:the |its )?(?:\S+ ){0,2}?(?:key|kid)\b`,
		`\bkeys? \S*\d\S* (?:was |is |has been )?(?:removed|purged|deleted|revoked|withdrawn|dropped|retired|unpublished)\b`,
		`\bkid\b.{0,50}\b(?:removed|purged|deleted|revoked|withdrawn|dropped|pulled|unpublished|no longer (?:in|published|served|listed|advertised)|disappeared)\b`,
		`(?:stopped|ceased) (?:publish|serv|list|advertis|expos)\w* .{0,30}\b(?:key|kid)\b`,
		`prematurel?y? (?:key )?(?:remov|purg|revo|retir|delet)\w*|(?:removed|purged|revoked|retired|deleted|withdrawn) (?:too (?:early|soon)|prematurely|before)`,
	}},
	{MaterialChanged, []string{
		`same (?:kid|key id)\b|(?:kid|key id) (?:was |is )?re-?used?|re-?us(?:ed?|ing) (?:the )?(?:same )?(?:kid|key id)`,
		`(?:thumbprint|fingerprint|modulus|key material|public key bytes).{0,40}(?:changed|differs?|mismatch|different|does(?:n't| not) match)`,
		`(?:different|new|other|changed) (?:key )?material|changed (?:its |the )?(?:modulus|thumbprint|fingerprint|key material)`,
	}},
	{KidFlood, []string{
		`random kids?|(?:many|distinct|different|unique|unheard-of|invented|made-up|bogus|fabricated) (?:unknown |random )?(?:kids?|key ids?)\b|kid flood|flood(?:ed|ing)? .{0,40}\b(?:kids?|key ids?|tokens?)\b`,
	}},
	{Tampered, []string{`\bforge[dr]\w*|tamper\w*|spoof\w*|counterfeit|alg(?:orithm)?[ -]confusion|credential[- ]stuffing`}},
	{BadSignature, []string{
		`(?:invalid|bad|wrong|incorrect|broken) (?:jwt |token |jws |rsa |ecdsa |ed25519 |crypto\w* )*signature|invalidsignature|signatureinvalid|(?:invalid|bad|wrong) (?:jwt|jws|token) \([^)]{0,30}signature|badsignature|signatureexception|err jws signature`,
		`signature.{0,25}(?:invalid\b|mismatch|wrong|fail|raised|\berror|could(?:n't| not)|cannot|not valid|not verif|does(?:n't| not)|did(?:n't| not))`,
		`\bsig (?:mismatch|invalid|failed|failure|error|bad|wrong|not valid)|\b(?:bad|invalid|wrong) sig\b`,
		`signature(?:verification|validation)(?:failed|error)`,
		`(?:fail\w*|could(?:n't| not)|cannot|can't|unable to|error).{0,30}(?:verif|validat)\w+.{0,40}(?:signature|message using any)`,
		`crypto/\w+: (?:rsa )?verification error|rsa verification error|jwt verification fail|square/go-jose: error in cryptographic primitive|error in cryptographic primitive|does(?:n't| not) match locally computed`,
		`idx10511|verification failed for (?:jwt|token)|(?:jw[st]|token)\W{1,3}(?:\S+ )?(?:signature )?verification ?fail`,
	}},
	{Vendor, []string{
		`(?:vendor|provider|auth0|okta|cognito|entra|azure ad|keycloak cloud|onelogin|ping ?identity|firebase auth|clerk|workos|stytch)\b.{0,50}(?:outage|is down|degraded|major incident|service disruption)`,
		`(?:outage|incident)\b.{0,40}\b(?:at|of|with|by) (?:our |the )?(?:vendor|identity provider|auth0|okta|cognito|entra)`,
		`status ?page.{0,40}(?:outage|incident|major|critical)`,
	}},
	{Clock, []string{
		`clock[ -]?(?:skew|drift|offset|jump)|clock .{0,40}(?:ahead|behind|wrong|off by|slow|fast|out of sync|unsynchroni[sz]ed|not synchroni[sz]ed|drifted)|\btime .{0,30}\d ?(?:s|sec\w*|min\w*|ms) (?:ahead|behind|off|slow|fast)\b|time (?:skew|drift)|\bntp(?:d|sec)?\b|chrony|timesyncd|system time .{0,20}(?:off|wrong|ahead|behind)`,
	}},
	{StaticKeys, []string{
		`static (?:\S+ )?(?:keys?|jwks|public|pem|file)|key ?(?:set ?)?file|local (?:\S+ )?(?:key ?(?:set|store|ring|file)|keys|jwks)\b|keystore|pinned (?:public |signing )?keys?|hard-?coded (?:\S+ )?key|\.pem\b|bundled (?:keys|jwks|key)|baked[- ]in|jwks(?: \S+){0,2} not configured|no jwks (?:refresh|url|uri|endpoint)|(?:keys?|jwks|key ?ring) .{0,20}(?:mounted|from disk|on disk|from file)|/etc/\S*(?:keys?|jwks|jwt)\b`,
	}},
	{StaleCache, []string{
		`(?:stale|outdated|old|expired) (?:\S+ )?(?:jwks|cache|cached|key ?set|jwk set)|cached (?:jwks?|keys?|key ?set|set|public|copy)|(?:jwks?|jwk sets?|key ?sets?|keys?)(?: \S+)? (?:was |is |are |were )?cached\b|\bkeys? (?:\S+ ){0,2}?(?:from|out of) (?:\S+ ){0,2}?cache\b|jwks[ -]cache|key[ -]?(?:set )?cache|cache.{0,30}(?:ttl|24 ?h|86400)|too many requests to the jwks|refresh.{0,30}(?:rate[- ]?limit|cool-?down|throttl|next in|not due)`,
	}},
	{Rotated, []string{
		`\bkeys?\b.{0,50}\brotat|\brotat\w*.{0,50}\bkeys?\b|jwks rotation|key rollover|rolled over|\bkeys? (?:was |were |is |has been |have been )?(?:activated|promoted)\b|(?:signing key|signer) .{0,20}(?:changed|switched|replaced|promoted|activated)|new (?:signing key|signer)\b|(?:signing|public) (?:keys?|cert\w*) (?:\S+ ){0,2}(?:replaced|renewed|switched|swapped)|(?:switched|promoted|moved|changed) .{0,20}\bto (?:the )?(?:new )?(?:signing )?key`,
	}},
	{Deploy, []string{
		`(?:recent|new|after|since|following|latest|last|this|bad|faulty) (?:the |a |our )?(?:code |canary )?(?:deploy\w*|release|rollout)\b`,
		`(?:deployed|released|rolled out|shipped) (?:version |tag |image |build )?v?\d`,
		`(?:deploy\w*|release|rollout) (?:of )?(?:\S+ )?(?:version )?v?\d+\.\d+(?:\.\d+)?(?:[^.\d]|\.\D|\.?$)`,
		`v?\d+\.\d+(?:\.\d+)?\S* (?:was |has been )?(?:deployed|released|rolled out|shipped|went live|is live)`,
		`\bfrom v?\d+\.\d+\.\d+\S* to v?\d+\.\d+\.\d+(?:[^.\d]|$)`,
		`(?:release|deployment|chart) \S+ (?:has been |was |is )(?:upgraded|updated|rolled out|synced)`,
		`(?:deploy|deployment|release|rollout) (?:finished|completed|succeeded|started|went out|just|\d+ ?(?:m|s|min|sec|h|hour))`,
		`no (?:\S+ )?(?:deploys?|deployments?|releases?|rollouts?)\b|\bdeploys?\b.{0,15}\bnone\b`,
	}},
	{ServerError, []string{
		`internal server error|bad gateway|(?:http|status|returned|responded|response|code|error)\W{0,3}(?:(?:with|status|code|of|an?|http)\W{1,3}){0,3}5\d\d\b|\b5xx\b|\b50\d (?:internal|bad|service|gateway|error)|panic:|nil pointer|nullpointer|null pointer|unhandled exception|traceback|segfault|segmentation fault|\btypeerror\b|\breferenceerror\b|cannot read propert|undefined is not`,
	}},
	{Refused, []string{`connection refused|econnrefused|actively refused|connect: refused|connectionrefused`}},
}

// tokenWordings mean a class of classWordings as well, but only where the text
// speaks of tokens.
var tokenWordings = []wording{
	{UnknownKid, []string{
		`\b` + bareNoun + `\b.{0,70}?\b` + absent,
		`\b` + fruitless + ` (?:\S+ ){0,4}?["'(]*` + bareNoun + `\b`,
		lacks + bareNoun + `\b`,
	}},
	{Expired, []string{`\bexpired\b`}},
	{FetchFailed, []string{`\bkeys? (?:retrieval|fetch\w*|download|refresh|loading) (?:error|fail|timed? ?out|timeout)`}},
	{BadSignature, []string{`signatures?\b.{0,40}\b(?:not match|match)`}},
}

// tokenish is how a text speaks of tokens and of who takes them. Stores, disks,
// caches, mail and packages have keys, signatures and things that expire as
// well; where none of these words stands, they are meant.
var tokenish = lazy(`tokens?\b|jw[tsk]|jose\b|\bkids?\b|key ?set|bearer|oidc|openid|oauth|\bclaims?\b|\b401\b|unauthori[sz]|unauthenticated|authenticat|\bauth\b|\bsso\b|log-?ins?\b|sign-?ins?\b|verifiers?\b|\bidp\b|identity provider|issuer|keycloak|auth0|okta|cognito|signing key|\bkey (?:distribution|rotation|rollover)\b|\bkeys? (?:\S+ )?(?:was |is )?(?:activated|rotated|promoted)\b|\bidx[12]0\d{3}`)

// turnedAway is what is said of requests without a good token, and of others.
var turnedAway = lazy(`(?:reject|refus|den[iy])\w* .{0,30}requests?|requests? .{0,20}(?:reject|refus|den[iy])`)

// vagueWordings are for a token that did not verify, whatever the reason. They
// count as a bad signature where the text tells nothing else.
var vagueWordings = []wording{
	{BadSignature, []string{`(?:fail\w*|could(?:n't| not)|cannot|can't|unable to) (?:to )?(?:\S+ and )?verif\w+ (?:\S+ ){0,3}?(?:jwts?|jws|tokens?)\b`}},
}

// phrases that hold a telling word without its meaning: other things that
// expire (of keys that do, the keys are left), other keys (see also
// prunella.WithoutOtherKeys), other tokens, and certificates of hosts
const decoys = `(?:certificate|cert|cache|cached entry|session|lease|password|licen[cs]e|timer|ttl|x509:? certificate)(?: \S+){0,2}?(?: has| is| was)? expired(?: or is not yet valid)?|expired (?:certificate|cert|session|lease|password)|(\bkeys?\b[^,;.]{0,60}?)\bexpired\b|key ring|rotating (?:log|file)s?|log rotat\w*|(?:cache|message|translation|config\w*|hash|map) key|x509: [^,;]*|(?:[cx]srf|anti-?forgery|push|device|reset|invite|page|continuation) tokens?|unexpected token\b|token (?:bucket|count|limit)|invalid token at line|tokens? (?:per|/) ?\w+|card issuers?|(?:certificate|cert)\b[^;]{0,40}?\bissuer(?: chain| certificate)?|issuer (?:chain|certificate)|issu(?:er|ing) bank|(?:method|function|type|call|operator|abi|event) signatures?`

// otherSigners is how texts speak of what else is signed: requests to a cloud,
// webhooks, packages, images, mail, commits, cookies. What is wrong with their
// signatures says nothing of a token.
var otherSigners = lazy(`secret access key|signing method|\bx-\S*signature|request signature|webhook|\bpayload\b|stripe|\bgpg\b|\bpgp\b|pubkey|inrelease|\bimages?\b|\bbundle\b|sigstore|cosign|\bdkim\b|dnssec|\bcommits?\b|\bpackages?\b|\bcookies?\b|firmware|\bsaml`)

// hedged is what makes a match a guess or an advice of the one who wrote the
// message rather than what happened
var hedged = lazy(`\b(?:most likely|likely|probably|perhaps|maybe|possibly|might|may|if|whether|in case|check that|make sure|ensure|verify that)\b[^.;:,]{0,40}$`)

// negation directly before a match, with only filler words between
var negated = lazy(`(?:\b(?:no|not|never|without|nor|neither|nothing|zero|exclud\w+|rul(?:ed|ing|es) out)|n't)(?: (?:a|an|any|the|been|be|recent|recently|new|yet|sign of|signs of|evidence of|really|actually|code|prior|known|other|single|there|were|was|is|had|of|its|our|token|tokens|are|key|due to|because of|caused by|a case of))*[ :]*$`)

// denialWordings say that something is fine.
var denialWordings = []wording{
	{Deploy, []string{
		`(?:last|latest|most recent) (?:deploy\w*|release|rollout) (?:was |is )?(?:\S+ )?(?:>|over |more than )?(?:\d+ ?(?:h|hr|hrs|hours?|d|days?|weeks?)\b|yesterday|days|weeks|last week)`,
		`(?:no|without|not) (?:\S+ ){0,3}(?:deploys?|deployed|deployments?|releases?|released|rollouts?)\b`,
		`(?:deploys?|deployments?|releases?|rollouts?)\b.{0,20}(?:none|ruled out|excluded)|nothing (?:\S+ ){0,2}(?:deployed|released|shipped|rolled out)`}},
	{Expired, []string{`not (?:yet )?expired|(?:exp|expiry|expiration|lifetime)\b.{0,25}\b(?:ok|fine|valid|correct|in the future|not (?:the )?(?:problem|issue|cause))\b|well within (?:its|their|the) (?:lifetime|expiry)|unexpired`}},
	{Audience, []string{`\b(?:audience|aud)\b (?:claim )?(?:is |are |was |looks )?(?:ok|fine|correct|unchanged|as expected|matches)\b`}},
	{Issuer, []string{`\b(?:issuer|iss)\b (?:claim )?(?:is |are |was |looks )?(?:ok|fine|correct|unchanged|as expected|matches)\b`}},
	{FetchFailed, []string{`(?:jwks|key set|keys endpoint|discovery)\b.{0,40}\b(?:reachable|healthy|updated|is up|ok\b|fine|serving|serves|accessible|answers 200|returns? 200|200 ok)\b`}},
	{Clock, []string{`clocks?\b.{0,30}\b(?:in sync|synchroni[sz]ed|agree|ok|fine|correct|accurate|within)\b`, `(?:no|without|not) (?:\S+ ){0,3}(?:clock[ -]?(?:skew|drift)|time (?:skew|drift))`}},
	{Rotated, []string{`(?:no|not|without|never) (?:\S+ ){0,4}?(?:key )?(?:rotat\w+|rollover)|\bkeys?\b.{0,20}\b(?:unchanged|not changed|did(?:n't| not) change|have(?:n't| not) changed)\b`}},
	{KeyRemoved, []string{`(?:old|previous|prior|former) (?:\S+ ){0,2}keys?\b.{0,30}\b(?:still|remains?|kept|keeps)\b`}},
	{Vendor, []string{`(?:vendor|provider|auth0|okta|cognito|entra)\b.{0,40}\b(?:all systems operational|operational|healthy|green|no incidents?)`}},
}

// keyish is needed before a failed delivery or a removal is one of keys
var keyish = lazy(`\bkeys?\b|jwks?\b|\bkid\b|keyset|rotation`)
