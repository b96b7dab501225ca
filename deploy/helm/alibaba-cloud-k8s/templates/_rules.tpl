{{/*
Rules by who needs them, as lists. Verbs are those that the programs call: of a Lease, client-go's leader election gets,
creates and updates; of events, its recorder creates and patches. What is only looked up among watched objects needs no
"get"; "list" is how a watch begins at API servers without streaming lists. Which of them no test of the cluster uses, and why they
are here: docs/guides/install-with-helm.md, "Permissions".
*/}}

{{/* What csi-plugin reads and writes in every role: docs/reference/flags.md, "Kubernetes". */}}
{{- define "ack.rules.plugin" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{- define "ack.rules.cnfs" -}}
- apiGroups: [storage.alibabacloud.com]
  resources: [containernetworkfilesystems]
  verbs: [get]
{{- end }}

{{- define "ack.rules.recorder" -}}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/*
Takes (dict "snapshots" BOOL "central" BOOL). On a node it takes the node from the driver, nothing is attached, and a class
of attributes is only looked up when a claim names one.
*/}}
{{- define "ack.rules.provisioner" -}}
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, update]
- apiGroups: [storage.k8s.io]
  resources: [volumeattributesclasses]
  verbs: [get]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [{{ if .central }}get, {{ end }}list, watch]
{{- if .central }}
- apiGroups: [storage.k8s.io]
  resources: [csinodes, volumeattachments]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
{{- if .snapshots }}
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshots]
  verbs: [get, list, watch, update]
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotcontents]
  verbs: [get]
{{- end }}
{{- end }}

{{- define "ack.rules.attacher" -}}
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [list, watch, patch]
- apiGroups: [storage.k8s.io]
  resources: [csinodes]
  verbs: [list, watch]
- apiGroups: [storage.k8s.io]
  resources: [volumeattachments]
  verbs: [list, watch, patch]
- apiGroups: [storage.k8s.io]
  resources: [volumeattachments/status]
  verbs: [patch]
{{- end }}

{{/* Takes (dict "modifies" BOOL). With --handle-volume-inuse-error=false it looks at no pods. */}}
{{- define "ack.rules.resizer" -}}
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [persistentvolumeclaims/status]
  verbs: [patch]
{{- if .modifies }}
- apiGroups: [storage.k8s.io]
  resources: [volumeattributesclasses]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{/* Takes (dict "groups" BOOL). */}}
{{- define "ack.rules.snapshotter" -}}
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotclasses]
  verbs: [list, watch]
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotcontents]
  verbs: [get, list, watch, patch]
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotcontents/status]
  verbs: [update, patch]
{{- if .groups }}
- apiGroups: [groupsnapshot.storage.k8s.io]
  resources: [volumegroupsnapshotclasses]
  verbs: [list, watch]
- apiGroups: [groupsnapshot.storage.k8s.io]
  resources: [volumegroupsnapshotcontents]
  verbs: [get, list, watch, patch]
- apiGroups: [groupsnapshot.storage.k8s.io]
  resources: [volumegroupsnapshotcontents/status]
  verbs: [update, patch]
{{- end }}
{{- end }}

{{/* Leader election. A name cannot be demanded of what is not there yet. Takes a list of Leases. */}}
{{- define "ack.rules.leases" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: {{ toYaml . | nindent 4 }}
  verbs: [get, update]
{{- end }}

{{/* A binding. Takes (dict "root" $ "component" C "kind" ROLE_KIND "name" ROLE "account" ACCOUNT "namespace" NS). */}}
{{- define "ack.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels: {{ include "ack.labels" . | nindent 4 }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace | quote }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
{{- end }}

{{/* Head of a role. Takes the same. */}}
{{- define "ack.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels: {{ include "ack.labels" . | nindent 4 }}
{{- end }}

{{- define "ack.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .account }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels: {{ include "ack.labels" . | nindent 4 }}
{{- end }}
