package thread

import (
	"strings"

	"prunella/thread/pattern"
)

// programs are what a command begins with, besides paths and scripts.
var programs = setOf(`diff fio ipsec virsh wipefs ioping kubectl k oc helm helmfile kustomize argocd flux istioctl linkerd stern eksctl kops crictl ctr nerdctl velero
	docker docker-compose podman systemctl journalctl service supervisorctl pm2 initctl loginctl
	psql pg_ctl pg_ctlcluster pg_dump pg_restore pg_basebackup pg_rewind pg_repack pgbench vacuumdb reindexdb patronictl repmgr pgbouncer mysql mysqladmin mysqldump mysqlbinlog mariadb pt-kill pt-online-schema-change gh-ost orchestrator-client
	redis-cli redis-server valkey-cli memcached mongo mongosh mongodump mongorestore cqlsh nodetool influx clickhouse-client cockroach sqlite3 sqlplus rman lsnrctl sqlcmd bcp
	rabbitmqctl rabbitmqadmin rabbitmq-diagnostics kafka-topics kafka-topics.sh kafka-consumer-groups kafka-consumer-groups.sh kafka-configs kafka-configs.sh kafka-reassign-partitions kafka-reassign-partitions.sh kafka-leader-election kafka-leader-election.sh kafka-console-consumer kcat kafkacat rpk nats nsqadmin pulsar-admin celery sidekiqctl
	etcdctl consul vault nomad zkCli.sh terraform tofu terragrunt pulumi packer ansible ansible-playbook salt puppet chef-client
	aws gcloud gsutil bq az gh glab git hub curl wget http grpcurl openssl certbot acme.sh cfssl keytool step dig nslookup host ping traceroute mtr ss netstat lsof tcpdump nc telnet arp
	iptables ip6tables nft ufw ip ifconfig ethtool nmcli resolvectl systemd-resolve rndc unbound-control named-checkzone pdnsutil pdns_control
	df du free top htop iotop iostat vmstat sar ps kill pkill killall pgrep rm mv cp ln ls cat tail head less grep egrep zgrep awk sed find xargs chmod chown mkdir touch truncate tar gzip gunzip zstd dd sync echo printf export source sudo su ssh scp rsync crontab
	mount umount lvextend lvresize pvresize vgextend resize2fs xfs_growfs growpart fdisk lsblk parted fsck e2fsck mdadm smartctl zpool zfs fstrim ncdu logrotate sysctl ulimit prlimit hostnamectl timedatectl chronyc ntpq ntpdate date uptime dmesg strace perf gdb reboot shutdown watch time nohup env swapoff swapon
	apt apt-get yum dnf apk brew dpkg rpm snap npm npx yarn pnpm pip pip3 python python3 node go make cargo java javac jstack jmap jcmd jps mvn gradle bundle rake rails php composer ruby perl
	nginx haproxy varnishadm varnishctl caddy apachectl apache2ctl httpd envoy traefik squid socat
	flyctl fly heroku vercel netlify wrangler flarectl doctl hcloud linode-cli cf serverless sls circleci
	airflow dbt spark-submit hdfs hadoop yarn hbase hive elasticsearch-node elasticsearch-keystore curator promtool amtool logcli mimirtool jq yq tc
	deck kong pgbackrest barman wal-g wal-e pgloader pgcli mycli mydumper myloader xtrabackup innobackupex mongoexport rclone restic borg duplicity mc s3cmd s5cmd b2 ceph rbd rados gluster cryptsetup lvs vgs pvs lvcreate multipath iscsiadm nvme apt-mark apt-cache update-rc.d update-alternatives dpkg-reconfigure rpm-ostree transactional-update needrestart snapper
	bird birdc vtysh frr gobgp bgpctl keepalived ipvsadm conntrack arping nping swaks sendmail opendkim rspamc rspamadm postmap dig kdig nsupdate knotc nsd-control dnsmasq dhclient netplan ifup ifdown brctl bridge ovs-vsctl calicoctl cilium hubble
	sentry-cli newrelic datadog-agent telegraf vector fluent-bit filebeat logstash loki cortextool thanos grafana-cli zabbix_agentd nagios icinga2
	snow snowsql bq bcp beeline impala-shell presto trino spark-shell flink yarn oozie prefect dagster luigi temporal tctl conductor zeebe camunda argo tkn skaffold tilt devspace garden okteto ko jib buildah skopeo crane cosign oras trivy grype syft
	supervisord monit runit sv s6-svc systemd-run busctl machinectl coredumpctl numactl taskset chrt ionice renice cgexec cset setenforce semanage restorecon getsebool setsebool firewall-cmd fail2ban-client auditctl aide lynis
	erl iex mix elixir rebar3 lein clojure sbt scala kotlin swift dotnet nuget msbuild iisreset netsh powershell pwsh wsl choco winget
	teleport tsh boundary cloudflared ngrok tailscale zerotier-cli nebula ipsec strongswan swanctl
	gpg ssh-keygen ssh-add ssh-keyscan age sops kubeseal certtool step-ca ipa getent realm sssctl
	ipmitool racadm storcli megacli arcconf sas3ircu hpssacli perccli nvidia-smi rocm-smi dcgmi
	auth0 okta stripe launchctl ldconfig postconf postqueue postsuper mailq exim doveadm samba-tool ldapmodify ldapsearch kinit update-ca-certificates openvpn wg wg-quick bash sh zsh`)

// everyday programs have names that begin sentences too.
var everyday = setOf(`cf last who w at lab mix step vector flow deck kong argo age monit bridge hubble temporal vault iex sv reboot shutdown host find service make go kill top free watch set step fly python node export echo head tail cat ping date time sync touch less cut join sort host su perf salt http heroku curator hub consul vault nomad flux k mount source yarn env ip stripe sh step rails chef-client hive java ruby puppet pulsar influx orchestrator go nats`)

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	w, _, _ = strings.Cut(w, "\n")
	return w
}

// bare takes off what may stand before the program: sudo, variables, time.
func bare(cmd string) string {
	for {
		before := cmd
		cmd = assigns.ReplaceAllString(cmd, "")
		for _, w := range []string{"sudo", "time", "nohup", "exec", "watch"} {
			if rest, ok := strings.CutPrefix(cmd, w+" "); ok {
				cmd = strings.TrimLeft(rest, " ")
				if w != "exec" {
					cmd = dashFlags.ReplaceAllString(cmd, "")
				}
			}
		}
		if cmd == before {
			return cmd
		}
	}
}

var dashFlags = pattern.MustCompile(`^(?:-[nEHiu]\s*(?:\w+\s+)?)+`)

// shell reports whether a line is a command. Sure of the surroundings, a
// program's name suffices.
func shell(l string, sure bool) bool {
	l = strings.TrimSpace(l)
	if l == "" || logLine.MatchString(l) || table.MatchString(l) && !flagged.MatchString(l) {
		return false
	}
	cmd := bare(l)
	if cmd == "" || sentenceInside.MatchString(outsideQuotes(cmd)) {
		return false
	}
	word := firstWord(cmd)
	rest := strings.TrimSpace(strings.TrimPrefix(cmd, word))
	switch {
	case strings.HasPrefix(cmd, "for ") && strings.Contains(cmd, " in ") && strings.Contains(cmd, "do"), strings.HasPrefix(cmd, "while ") && strings.Contains(cmd, "do"):
		return strings.Contains(cmd, ";") || strings.Contains(cmd, "\n")
	case strings.HasSuffix(word, ":"), strings.HasSuffix(l, "?"):
		return false
	case strings.HasPrefix(l, "sudo ") && programRE.MatchString(word) && rest != "":
		return !english.MatchString(outsideQuotes(rest))
	case programs[word]:
		if rest == "" {
			return sure && !everyday[word] || word == "reboot"
		}
		if everyday[word] && !sure {
			return shellSign.MatchString(" "+rest) && !english.MatchString(rest)
		}
		return !english.MatchString(outsideQuotes(rest)) || flagged.MatchString(l) || shellSign.MatchString(" "+rest)
	case scriptPath.MatchString(word):
		return !english.MatchString(outsideQuotes(rest)) && !strings.HasPrefix(word, "//") && (strings.Contains(word, ".") || rest != "" && (sure || flagged.MatchString(l)) || sure)
	case sure && toolName.MatchString(word) && rest != "" && plainArgs.MatchString(rest) && !preposition.MatchString(rest):
		return true
	case sure && programRE.MatchString(word) && rest != "" && plainArgs.MatchString(rest) && !preposition.MatchString(rest) && orders(rest):
		return true
	case programRE.MatchString(word) && flagged.MatchString(l):
		return !english.MatchString(outsideQuotes(rest)) && len(word) > 1 && !leadsTo.MatchString(l)
	}
	return sure && typed(l, word, rest)
}

// typed reports a line that has the shape of a command though nobody knows the
// program: a name, then a verb of command lines, a flag, a path or a value.
func typed(l, word, rest string) bool {
	if cmdlet.MatchString(word) {
		return rest != "" && !preposition.MatchString(outsideQuotes(rest))
	}
	if !programRE.MatchString(word) || len(word) < 2 || rest == "" || failing.MatchString(outsideQuotes(l)) || proseEnd.MatchString(l) || table.MatchString(l) {
		return false
	}
	plain := outsideQuotes(rest)
	if preposition.MatchString(plain) || english.MatchString(plain) || strings.HasPrefix(plain, "=") || strings.Contains(plain, "  ") && !strings.ContainsAny(rest, `"'`) {
		return false
	}
	second := firstWord(rest)
	verb := deedBase[second] || readVerb.MatchString(second) || readCompound.MatchString(second) || changeVerb.MatchString(second)
	return verb && !happens[word] || argument.MatchString(" "+plain)
}

var (
	sentenceInside = pattern.MustCompile(`^[a-z][\w-]* [a-z]+ed[.:] [a-z]+ [a-z]+ |\w'(?:s|t|re|ve|ll) `)
	leadsTo        = pattern.MustCompile(`(?i)^(?:\w+ )*\w+: |^(?:via|with|using|from|run|running|output) `)
	cmdlet         = pattern.MustCompile(`^(?:Get|Set|New|Remove|Restart|Start|Stop|Test|Enable|Disable|Invoke|Add|Clear|Update|Unlock|Move|Resume|Suspend|Reset|Install|Import|Export|Sync|Repair|Enter|Grant|Revoke|Register|Unregister|Show|Find|Measure|Select|Out|Write|Read|Connect|Disconnect)-[A-Z]\w+$`)
	proseEnd       = pattern.MustCompile(`[.,:;!?]$`)
	argument       = pattern.MustCompile(`\s(?:--?[a-zA-Z][\w-]*(?:[= ]|$)|[\w.-]+=[^\s=]|(?:\.{0,2}/|~/)?[\w.@-]+/[\w./*@-]+(?:\s|$)|\S+\.(?:ya?ml|json|conf|cfg|sql|hcl|tf|ini|toml|xml|pem|crt|key|p8|env|tar|gz|sh|py|rb)(?:\s|$)|[a-z]+://\S)`)

	// happens are what may be said of with the verb of a command: "connection reset".
	happens = setOf(`connection connections session sessions request requests stream link handshake transaction query token socket pipe channel client server peer job task process worker host node exit got returned access broken retry status state error unexpected`)
)

var (
	toolName    = pattern.MustCompile(`^[a-z][a-z0-9-]*(?:ctl|-cli|-admin|-client|-tool|-manager)$`)
	plainArgs   = pattern.MustCompile(`^[\w./:=@,'"{}*%+\[\]()|<>$ -]+$`)
	preposition = pattern.MustCompile(`(?i)(?:^|\s)(?:with|on|to|for|and|in|of|at|by|from|the|a|an|is|are|was|it|this|that|we|i|again|now|after|before|not|no|too)(?:\s|$)`)
)

// orders reports arguments whose first or second word is a verb, as of a tool
// with subcommands.
func orders(rest string) bool {
	for i, w := range strings.Fields(rest) {
		if i > 1 {
			break
		}
		if readVerb.MatchString(w) || deedBase[w] {
			return len(strings.Fields(rest)) > 1 || strings.ContainsAny(rest, "-/=")
		}
	}
	return false
}

var deedBase = func() map[string]bool {
	out := map[string]bool{}
	for _, d := range deeds {
		out[d.base] = true
	}
	return out
}()

var quotedText = pattern.MustCompile(`'[^']*'|"[^"]*"`)

func outsideQuotes(s string) string { return quotedText.ReplaceAllString(s, " ") }

var (
	keyValue = pattern.MustCompile(`^[A-Za-z_][\w.-]*\s*(?::\s+|=\s*)["']?[\w./:%-]+["']?$`)
	setting  = pattern.MustCompile(`(?i)\b(?:set|setting|chang(?:ed?|ing)|bump(?:ed|ing)?|lower(?:ed|ing)?|rais(?:ed?|ing)|reduc(?:ed?|ing)|increas(?:ed?|ing)|decreas(?:ed?|ing)|add(?:ed|ing)?|configur(?:ed?|ing)|put(?:ting)?|updat(?:ed?|ing)|switch(?:ed|ing)?|tun(?:ed?|ing)|flip(?:ped|ping)?|with|to)\b`)
	warned   = pattern.MustCompile(`(?i)\b(?:don'?t|do not|never|instead of|avoid|please no|rather than|not|we could(?: also)?|you could|could also|might|would|nobody should|no one should|alternatively|worst case)\s+(?:\w+\s+){0,2}$`)
	forbids  = pattern.MustCompile(`(?i)\b(?:hands off|stay away|last time|(?:someone|somebody|who) (?:ever )?(?:ran|typed|tried)|(?:hands|fingers) off|one could|beware|careful with|whatever you do|under no circumstances|no one|nobody)\b[^.;]*$`)
	tooRisky = pattern.MustCompile(`(?i)\b(?:would be (?:an option|possible|another)|not today|do(?:n'?t| not) dare|we lost|wipes?|erases?|destroys?|(?:so|but|and) please (?:not|no|don'?t)|too (?:risky|dangerous|much)|rather wait|would rather|not yet|not (?:now|yet|today|in prod)|would (?:drop|lose|delete|wipe|break)|drops? (?:data|everything)|last resort|rather not|don'?t want|please don'?t|never (?:on|in) prod)\b`)
	reported = pattern.MustCompile(`(?i)\b(?:says?|said|shows?|showed|returns?|returned|logs?|logged|error|errors|message|fails? with|failing with|seeing|see|got|getting|prints?|throws?|exception)\s*(?::|with|of|like|is)?\s*$`)
)

// inline tells what inline code is, given the text of its sentence before it.
func inline(code, before, after string) (snippet, bool) {
	code = strings.TrimSpace(code)
	if hasPrompt := strings.HasPrefix(code, "$ "); hasPrompt {
		code = strings.TrimSpace(code[2:])
	}
	if warned.MatchString(before) || forbids.MatchString(before) || tooRisky.MatchString(after) || logLine.MatchString(code) {
		return snippet{}, false
	}
	fields := strings.Fields(code)
	switch {
	case len(fields) == 0:
		return snippet{}, false
	case len(fields) == 1 && statement.MatchString(code):
		return snippet{code, "sql", KindCommand}, true
	case len(fields) == 1:
		if strings.HasPrefix(code, "./") && scriptPath.MatchString(code) || scriptPath.MatchString(code) && strings.HasSuffix(code, ".sh") {
			return snippet{code, "bash", KindCommand}, true
		}
		if strings.Contains(code, "=") && keyValue.MatchString(code) && setting.MatchString(before) && !reported.MatchString(before) {
			return snippet{code, "ini", KindConfig}, true
		}
		return snippet{}, false
	case (sqlWrite.MatchString(code) || sqlCalls.MatchString(code)) && !(programs[firstWord(bare(code))] && flagged.MatchString(code)):
		return snippet{code, "sql", KindCommand}, true
	case sqlRead.MatchString(code) && sqlShape.MatchString(code) && !programs[fields[0]]:
		return snippet{code, "sql", KindQuery}, true
	case shell(code, true) && !(everyday[fields[0]] && english.MatchString(code)):
		if reported.MatchString(before) && !flagged.MatchString(code) && !programs[fields[0]] {
			return snippet{}, false
		}
		return snippet{code, "bash", KindCommand}, true
	case metricsQL.MatchString(code):
		return snippet{code, "promql", KindQuery}, true
	case keyValue.MatchString(code) && setting.MatchString(before) && !reported.MatchString(before):
		if strings.Contains(code, "=") {
			return snippet{code, "ini", KindConfig}, true
		}
		return snippet{code, "yaml", KindConfig}, true
	}
	return snippet{}, false
}

// unquoted finds a command that stands in prose without backticks, at the
// beginning of a line or after a colon or a word like "with" or "running", and
// reaches to its end.
func unquoted(l string) (before, cmd string, ok bool) {
	starts := [][]int{{0, len(l) - len(strings.TrimLeft(l, " \t"))}}
	for _, at := range append(starts, unquotedAt.FindAllStringIndex(l, 12)...) {
		start := at[1]
		rest := l[start:]
		word := firstWord(bare(rest))
		whole := start == 0 && flagged.MatchString(rest) && programRE.MatchString(word) && plainArgs.MatchString(rest) && !preposition.MatchString(rest) && len(word) > 1 && !typedVerb.MatchString(word)
		known := programs[word] || whole || strings.HasPrefix(rest, "./") || toolName.MatchString(word) || start > 0 && flagged.MatchString(rest) && programRE.MatchString(word) && !preposition.MatchString(rest) && !strings.Contains(rest, ", ") && !strings.Contains(rest, ": ")
		if !known || everyday[word] && !flagged.MatchString(rest) && !strings.Contains(rest, " | ") && !(start > 0 && strings.Contains(rest, " /") && !preposition.MatchString(rest)) && !strings.HasPrefix(rest, "sudo ") &&
			!(start > 0 && plainArgs.MatchString(rest) && !preposition.MatchString(rest) && orders(strings.TrimPrefix(bare(rest), word))) {
			continue
		}
		rest = strings.TrimSpace(emoji.ReplaceAllString(pictures.ReplaceAllString(rest, ""), "$1"))
		rest = strings.TrimRight(rest, ".,!")
		if len(strings.Fields(rest)) >= 2 && shell(rest, true) && (shellSign.MatchString(" "+strings.TrimPrefix(rest, word)) || start == 0 && !everyday[word] && plainArgs.MatchString(rest) && !preposition.MatchString(rest) && orders(strings.TrimPrefix(bare(rest), word)) || start > 0 && len(strings.Fields(rest)) > 2 && plainArgs.MatchString(rest) && !preposition.MatchString(rest)) && !english.MatchString(outsideQuotes(rest)) {
			return l[:start], rest, true
		}
	}
	return "", "", false
}

// typedVerb is a word of prose before a command, and no program.
var typedVerb = pattern.MustCompile(`^(?:[a-z]+(?:ing|ed)|did|ran|run|via|then|and|now|with|using|do|try|also|next|so|ok|got|see|saw|says?|shows?|again|first|used|here|this)$`)

var statement = pattern.MustCompile(`^[A-Z]{4,}(?:_[A-Z]+)*;$`)

var unquotedAt = pattern.MustCompile(`(?i)[:,→>] +|\b(?:\w{3,}(?:ed|ing)|did|with|ran|run|running|via|using|by|try|trying|do|doing|execut(?:ed|ing)|from|and|then|now|output of|checking|checked) +`)

var regexpKV = pattern.MustCompile(`(?i)\b(?:flushall|flushdb|del|unlink|config set|client kill|config rewrite|slaveof|replicaof|cluster failover|memory purge|failover|expire|set)\b`)
