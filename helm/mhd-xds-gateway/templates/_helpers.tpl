{{- define "gateway.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "gateway.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "gateway.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "gateway.redisIsShared" -}}
{{- $redis := .Values.settings.redis | default dict -}}
{{- if or .Values.redis.trial.enabled .Values.redis.urlSecret.name $redis.url $redis.sentinels $redis.cluster -}}true{{- end -}}
{{- end -}}

{{- define "gateway.replicated" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}true{{- end -}}
{{- end -}}

{{/* What a schema cannot say: values that contradict each other. */}}
{{- define "gateway.check" -}}
{{- $redis := .Values.settings.redis | default dict -}}
{{- $places := 0 -}}
{{- range list .Values.redis.trial.enabled .Values.redis.urlSecret.name $redis.url $redis.sentinels $redis.cluster -}}
{{- if . -}}{{- $places = add1 $places -}}{{- end -}}
{{- end -}}
{{- if gt (int $places) 1 -}}
{{- fail "redis: set only one of redis.trial.enabled, redis.urlSecret, settings.redis.url, .sentinels and .cluster" -}}
{{- end -}}
{{- if include "gateway.replicated" . -}}
{{- if not (include "gateway.redisIsShared" .) -}}
{{- fail "replicas: more than one need a common Redis; set settings.redis.url (or sentinels, cluster), redis.urlSecret or redis.trial.enabled" -}}
{{- end -}}
{{- if not .Values.urlKeys.existingSecret -}}
{{- fail "replicas: more than one need common keys; name a Secret in urlKeys.existingSecret" -}}
{{- end -}}
{{- if .Values.state.existingClaim -}}
{{- fail "state.existingClaim: is for one replica only" -}}
{{- end -}}
{{- end -}}
{{- if not (or (and .Values.settings.registry .Values.settings.repositories) .Values.settings.mhd_domain) -}}
{{- fail "settings: set registry and repositories, or mhd_domain" -}}
{{- end -}}
{{- $security := .Values.settings.security | default dict -}}
{{- if not (or $security.access $security.issuers $security.authorisation_server) -}}
{{- fail "settings.security: set issuers or authorisation_server, or access to open to serve everyone who reaches the port" -}}
{{- end -}}
{{- if and .Values.trustedAuthorities.configMap .Values.trustedAuthorities.secret -}}
{{- fail "trustedAuthorities: set only one of configMap and secret" -}}
{{- end -}}
{{- $server := .Values.settings.server | default dict -}}
{{- $drain := ternary $server.drain_wait 5 (hasKey $server "drain_wait") -}}
{{- $needed := add (int .Values.preStopSeconds) (ceil $drain) (ceil ($server.shutdown_timeout | default 30)) -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds: must be at least %d, preStopSeconds, settings.server.drain_wait and .shutdown_timeout together" (int $needed)) -}}
{{- end -}}
{{- end -}}

{{/* The settings file: the tree of the values, and what the chart decides. */}}
{{- define "gateway.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $_ := set $settings "state_dir" "/var/lib/gateway" -}}
{{- $server := $settings.server | default dict -}}
{{- $_ := set $server "host" "0.0.0.0" -}}
{{- $_ := set $server "port" 8080 -}}
{{- if not (hasKey $server "drain_wait") -}}
{{- $_ := set $server "drain_wait" 5 -}}
{{- end -}}
{{- $_ := set $settings "server" $server -}}
{{- if .Values.metrics.enabled -}}
{{- $_ := set $settings "metrics" (dict "enabled" true "port" 9464) -}}
{{- end -}}
{{- $console := $settings.console | default dict -}}
{{- if .Values.console.enabled -}}
{{- $_ := set $settings "console" (merge (dict "enabled" true "port" 9465) $console) -}}
{{- else -}}
{{- $_ := unset $settings "console" -}}
{{- end -}}
{{- if .Values.redis.trial.enabled -}}
{{- $redis := $settings.redis | default dict -}}
{{- $_ := set $redis "url" (printf "redis://%s-redis:6379/0" (include "gateway.fullname" .)) -}}
{{- $_ := set $settings "redis" $redis -}}
{{- end -}}
{{ toYaml $settings }}
{{- end -}}

{{- define "gateway.env" -}}
- name: GATEWAY_CONFIG
  value: /etc/gateway/gateway.yaml
{{- with .Values.urlKeys }}
{{- if .existingSecret }}
{{- $names := list }}
{{- range $number, $entry := .entries }}
{{- $names = append $names (printf "$(URL_KEY_%d)" $number) }}
- name: URL_KEY_{{ $number }}
  valueFrom:
    secretKeyRef: {name: {{ $.Values.urlKeys.existingSecret | quote }}, key: {{ $entry | quote }}}
{{- end }}
- name: GATEWAY_SECURITY__KEYS
  value: {{ toRawJson $names | quote }}
{{- end }}
{{- end }}
{{- with .Values.redis.urlSecret }}
{{- if .name }}
- name: GATEWAY_REDIS__URL
  valueFrom:
    secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}
{{- end }}
{{- end }}
{{- with .Values.redis.passwordSecret }}
{{- if .name }}
- name: GATEWAY_REDIS__PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}
{{- end }}
{{- end }}
{{- if or .Values.trustedAuthorities.configMap .Values.trustedAuthorities.secret }}
- name: SSL_CERT_FILE
  value: /etc/gateway-authorities/{{ .Values.trustedAuthorities.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gateway.mounts" -}}
- {name: settings, mountPath: /etc/gateway, readOnly: true}
- {name: state, mountPath: /var/lib/gateway}
- {name: temporary, mountPath: /tmp}
{{- range $name, $secret := .Values.secretFiles }}
- {name: {{ printf "secret-%s" $name }}, mountPath: {{ printf "/run/secrets/%s" $name }}, readOnly: true}
{{- end }}
{{- if or .Values.trustedAuthorities.configMap .Values.trustedAuthorities.secret }}
- {name: authorities, mountPath: /etc/gateway-authorities, readOnly: true}
{{- end }}
{{- end -}}

{{/* A listener with TLS is asked by HTTPS, one that may want client certificates by that of the metrics. */}}
{{- define "gateway.probe" -}}
{{- $tls := (.Values.settings.server | default dict).tls -}}
{{- if and $tls .Values.metrics.enabled -}}port: metrics
{{- else if $tls -}}port: http, scheme: HTTPS
{{- else -}}port: http
{{- end -}}
{{- end -}}

{{- define "gateway.secretFiles" -}}
{{- range $name, $secret := .Values.secretFiles }}
- name: {{ printf "secret-%s" $name }}
  secret: {secretName: {{ $secret | quote }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{- define "gateway.authorities" -}}
{{- with .Values.trustedAuthorities }}
{{- if .configMap }}
- name: authorities
  configMap: {name: {{ .configMap | quote }}}
{{- else if .secret }}
- name: authorities
  secret: {secretName: {{ .secret | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "gateway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "gateway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
