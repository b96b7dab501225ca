{{/* Labels of every object. Takes (dict "root" $ "component" NAME). */}}
{{- define "ack.labels" -}}
{{ include "ack.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels by which pods are found; they can never change. */}}
{{- define "ack.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* An image. Takes (dict "root" $ "image" IMAGE). */}}
{{- define "ack.image" -}}
{{- $registry := .root.Values.images.registry -}}
{{- $tag := .image.tag | default .root.Chart.AppVersion -}}
{{- if $registry }}{{ $registry | trimSuffix "/" }}/{{ end }}{{ .image.repository }}:{{ $tag }}
{{- end }}

{{/* image and imagePullPolicy of a container. */}}
{{- define "ack.imageOf" -}}
image: {{ include "ack.image" . }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
{{- end }}

{{/* What every pod has: secrets of the registry. */}}
{{- define "ack.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A container that needs nothing of the machine. Takes the user id. */}}
{{- define "ack.unprivileged" -}}
securityContext:
  {{- if . }}
  runAsNonRoot: true
  {{- end }}
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* A container that mounts, or rules the machine's network. */}}
{{- define "ack.privileged" -}}
securityContext:
  privileged: true
  runAsUser: 0
  runAsNonRoot: false
  readOnlyRootFilesystem: true
{{- end }}

{{/* Environment of a map of names and texts. */}}
{{- define "ack.env" -}}
{{- range $name, $text := . }}
- {name: {{ $name }}, value: {{ $text | quote }}}
{{- end }}
{{- end }}

{{/* The name of the pod's node. */}}
{{- define "ack.nodeName" -}}
- name: KUBE_NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- end }}

{{/* Where the cloud is. */}}
{{- define "ack.cloudEnv" -}}
{{- $cloud := .Values.cloud -}}
{{- $told := dict
    "REGION_ID" $cloud.regionId
    "ALIBABA_CLOUD_NETWORK_TYPE" ($cloud.networkType | default (ternary "vpc" "public" $cloud.metadataService))
    "ALICLOUD_CLIENT_SCHEME" $cloud.scheme
    "IMDS_ENDPOINT" $cloud.imdsEndpoint
    "ECS_ENDPOINT" $cloud.endpoints.ecs
    "STS_ENDPOINT" $cloud.endpoints.sts -}}
{{- range $name, $text := $told }}
{{- if $text }}
- {name: {{ $name }}, value: {{ $text | quote }}}
{{- end }}
{{- end }}
{{- if not $cloud.metadataService }}
- {name: ALIBABA_CLOUD_NO_ECS_METADATA, value: "true"}
{{- end }}
{{- end }}

{{/* What storage must know beside that. */}}
{{- define "ack.storageEnv" -}}
{{- include "ack.cloudEnv" . }}
{{- $cloud := .Values.cloud -}}
{{- $told := dict
    "CLUSTER_ID" $cloud.clusterId
    "NAS_ENDPOINT" $cloud.endpoints.nas
    "EFLO_CONTROLLER_ENDPOINT" $cloud.endpoints.efloController
    "OSS_ENDPOINT" $cloud.endpoints.oss -}}
{{- range $name, $text := $told }}
{{- if $text }}
- {name: {{ $name }}, value: {{ $text | quote }}}
{{- end }}
{{- end }}
{{- if .Values.csi.disk.privateTopologyKey }}
- {name: PRIVATE_TOPOLOGY_KEY, value: "true"}
{{- end }}
{{- if .Values.csi.nas.topology }}
- {name: NAS_TOPOLOGY, value: "true"}
{{- end }}
{{- end }}

{{/* Who we are in the cloud. */}}
{{- define "ack.credentialEnv" -}}
{{- $given := .Values.cloud.credentials -}}
{{- if $given.accessKey.enabled }}
- name: ALIBABA_CLOUD_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $given.accessKey.secretName }}, key: {{ $given.accessKey.idKey }}}}
- name: ALIBABA_CLOUD_ACCESS_KEY_SECRET
  valueFrom: {secretKeyRef: {name: {{ $given.accessKey.secretName }}, key: {{ $given.accessKey.secretKey }}}}
{{- end }}
{{- if $given.rrsa.enabled }}
- {name: ALIBABA_CLOUD_ROLE_ARN, value: {{ required "cloud.credentials.rrsa.roleArn is required with rrsa" $given.rrsa.roleArn | quote }}}
- {name: ALIBABA_CLOUD_OIDC_PROVIDER_ARN, value: {{ required "cloud.credentials.rrsa.oidcProviderArn is required with rrsa" $given.rrsa.oidcProviderArn | quote }}}
- {name: ALIBABA_CLOUD_OIDC_TOKEN_FILE, value: /var/run/secrets/rrsa/token}
{{- end }}
{{- end }}

{{- define "ack.credentialMounts" -}}
{{- if .Values.cloud.credentials.addonToken.enabled }}
- {name: addon-token, mountPath: /var/addon, readOnly: true}
{{- end }}
{{- if .Values.cloud.credentials.rrsa.enabled }}
- {name: rrsa-token, mountPath: /var/run/secrets/rrsa, readOnly: true}
{{- end }}
{{- end }}

{{/*
Takes (dict "root" $ "secret" NAME). The files are root's, and controllers are not root: only the mode lets them read.
*/}}
{{- define "ack.credentialVolumes" -}}
{{- $given := .root.Values.cloud.credentials -}}
{{- if $given.addonToken.enabled }}
- name: addon-token
  secret:
    secretName: {{ .secret }}
    defaultMode: 0444
    items: [{key: {{ $given.addonToken.key }}, path: token-config}]
{{- end }}
{{- if $given.rrsa.enabled }}
- name: rrsa-token
  projected:
    defaultMode: 0444
    sources:
      - serviceAccountToken: {path: token, audience: {{ $given.rrsa.audience }}, expirationSeconds: 3600}
{{- end }}
{{- end }}

{{/* Health of csi-plugin. Takes (dict "port" PORT "address" ADDRESS); "" = the pod's own. */}}
{{- define "ack.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: {{ .port }}{{ with .address }}, host: {{ . }}{{ end }}}
  initialDelaySeconds: 10
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 5
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}{{ with .address }}, host: {{ . }}{{ end }}}
  periodSeconds: 15
  timeoutSeconds: 5
{{- end }}

{{/* Flags that every csi-plugin has. */}}
{{- define "ack.csiFlags" -}}
- --logging-format={{ .Values.logging.format }}
- --v={{ .Values.logging.verbosity }}
{{- with .Values.csi.featureGates }}
{{- $gates := list }}
{{- range $name, $on := . }}{{ $gates = append $gates (printf "%s=%t" $name $on) }}{{ end }}
- --feature-gates={{ join "," $gates }}
{{- end }}
{{- end }}
