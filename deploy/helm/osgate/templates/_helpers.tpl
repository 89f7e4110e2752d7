{{/* The name of every object. */}}
{{- define "osgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods of a component: list context, component. */}}
{{- define "osgate.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ default $top.Chart.Name $top.Values.nameOverride }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of an object: list context, component. */}}
{{- define "osgate.labels" -}}
{{- $top := index . 0 -}}
{{ include "osgate.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: osgate
{{- if eq $top.Release.Service "Helm" }}
app.kubernetes.io/managed-by: Helm
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
{{- end }}
{{- end -}}

{{/* name and labels: list context, suffix of the name, component. */}}
{{- define "osgate.metadata" -}}
{{- $top := index . 0 -}}
name: {{ include "osgate.fullname" $top }}{{ index . 1 }}
labels:
  {{- include "osgate.labels" (list $top (index . 2)) | nindent 2 }}
{{- end -}}

{{/* The image of values.image or values.osemu.image: list context, image. */}}
{{- define "osgate.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default (index . 0).Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{- define "osgate.serviceAccountName" -}}
{{- default (ternary (include "osgate.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* A value as the text of a variable. A number in YAML is a float: 20000000 is not 2e+07. */}}
{{- define "osgate.text" -}}
{{- if and (kindIs "float64" .) (eq (toString (floor .)) (toString .)) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* A duration of Go, such as 1m30s or 500ms, in whole seconds, rounded up. */}}
{{- define "osgate.seconds" -}}
{{- $units := dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001 "us" 0.000001 "µs" 0.000001 "ns" 0.000000001 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(?:h|ms|m|us|µs|ns|s)" (toString .) -1 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $sum = addf $sum (mulf (float64 $number) (get $units (trimPrefix $number .))) -}}
{{- end -}}
{{- ceil $sum | int -}}
{{- end -}}

{{/* How long a pod may take to end. */}}
{{- define "osgate.gracePeriod" -}}
{{- $settings := .Values.settings -}}
{{- $delay := hasKey $settings "OSGATE_DRAIN_DELAY" | ternary $settings.OSGATE_DRAIN_DELAY "5s" -}}
{{- $timeout := hasKey $settings "OSGATE_DRAIN_TIMEOUT" | ternary $settings.OSGATE_DRAIN_TIMEOUT "30s" -}}
{{- add (include "osgate.seconds" $delay) (include "osgate.seconds" $timeout) (int .Values.terminationMarginSeconds) -}}
{{- end -}}

{{/* How many pods share a quota while Redis is gone. */}}
{{- define "osgate.replicas" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/* The name of the Secret with the certificate for clients; empty: plain HTTP. */}}
{{- define "osgate.tlsSecret" -}}
{{- ternary (printf "%s-tls" (include "osgate.fullname" .)) .Values.tls.existingSecret .Values.tls.certManager.enabled -}}
{{- end -}}

{{- define "osgate.scheme" -}}
{{- ternary "https" "http" (ne (include "osgate.tlsSecret" .) "") -}}
{{- end -}}

{{/* The lists that reload: variable without prefix, value, and key of its ConfigMap. */}}
{{- define "osgate.lists" -}}
- {variable: OSGATE_ROUTES, value: routes, key: routes}
- {variable: OSGATE_RATE_OVERRIDES, value: rateOverrides, key: rate-overrides}
- {variable: OSGATE_CACHE_RULES, value: cacheRules, key: cache-rules}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "osgate.urlPort" -}}
{{- $url := urlParse . -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{/* A text whose links to pages in docs lead to values.docsURL: list context, text. */}}
{{- define "osgate.docs" -}}
{{- regexReplaceAll "\\bdocs/([a-z/-]+\\.md)" (index . 1) (printf "%s/${1}" (index . 0).Values.docsURL) -}}
{{- end -}}

{{/* Combinations of values that cannot work. */}}
{{- define "osgate.refuse" -}}
{{- $redis := .Values.secretKeys.OSGATE_REDIS_URL -}}
{{- if and (not $redis) (gt (include "osgate.replicas" . | int) 1) -}}
{{- fail "more than one replica needs Redis: set secretKeys.OSGATE_REDIS_URL, or replicaCount=1 without autoscaling" -}}
{{- end -}}
{{- if and $redis .Values.state.enabled -}}
{{- fail "with Redis, statistics are kept there: set state.enabled=false, or secretKeys.OSGATE_REDIS_URL=null" -}}
{{- end -}}
{{- if and .Values.admin.service.enabled (not .Values.secretKeys.OSGATE_ADMIN_TOKEN) -}}
{{- fail "admin.service.enabled needs a token: set secretKeys.OSGATE_ADMIN_TOKEN" -}}
{{- end -}}
{{- if and .Values.secretKeys (not .Values.existingSecret) -}}
{{- fail "secretKeys needs existingSecret, the name of a Secret" -}}
{{- end -}}
{{- if and .Values.tls.clientCASecret (not (include "osgate.tlsSecret" .)) -}}
{{- fail "tls.clientCASecret needs HTTPS: set tls.existingSecret or tls.certManager.enabled" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled .Values.tls.existingSecret -}}
{{- fail "set tls.existingSecret or tls.certManager.enabled, not both" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.enabled needs issuerRef.name" -}}
{{- end -}}
{{- if and .Values.osemu.enabled (hasKey .Values.settings "OSGATE_UPSTREAM_OVERRIDE") -}}
{{- fail "osemu.enabled sets OSGATE_UPSTREAM_OVERRIDE: remove it from settings" -}}
{{- end -}}
{{- if and .Values.upstreamCA.existingConfigMap .Values.upstreamCA.existingSecret -}}
{{- fail "set upstreamCA.existingConfigMap or upstreamCA.existingSecret, not both" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs" -}}
{{- end -}}
{{- end -}}
