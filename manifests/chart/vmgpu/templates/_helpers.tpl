{{/* Labels of everything. Helm adds who manages it. */}}
{{- define "vmgpu.labels" -}}
app.kubernetes.io/part-of: vmgpu
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* IMAGE of the program whose values are given: [root, values] */}}
{{- define "vmgpu.image" -}}
{{- $root := index . 0 }}{{ $image := (index . 1).image -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "vmgpu.pull" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The user name of a service account of this release: [root, name] */}}
{{- define "vmgpu.user" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:{{ index . 1 }}
{{- end }}

{{/* A ClusterRoleBinding or RoleBinding of what is called like its service account: [root, kind, name] */}}
{{- define "vmgpu.binding" -}}
{{- $root := index . 0 }}{{ $kind := index . 1 }}{{ $name := index . 2 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- if eq $kind "Role" }}
  namespace: {{ $root.Release.Namespace }}
  {{- end }}
  labels: {{- include "vmgpu.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
- kind: ServiceAccount
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
{{- end }}

{{/* The name of the CRD in files/crds/GROUP_PLURAL.yaml */}}
{{- define "vmgpu.crd" -}}
{{- $parts := base . | trimSuffix ".yaml" | splitList "_" -}}
{{ last $parts }}.{{ first $parts }}
{{- end }}

{{/* The CRDs of ours that are there and not of this release: applied by hand, or brought by Harvester's agent. They stay as they are. `helm template` sees none */}}
{{- define "vmgpu.foreignCRDs" -}}
{{- $found := list }}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
{{- $name := include "vmgpu.crd" $path }}
{{- $there := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name }}
{{- $of := printf "%s/%s" (dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" $there) (dig "metadata" "annotations" "meta.helm.sh/release-name" "" $there) }}
{{- if and $there (ne $of (printf "%s/%s" $.Release.Namespace $.Release.Name)) }}{{ $found = append $found $name }}{{ end }}
{{- end }}
{{- join " " $found }}
{{- end }}

{{/* Not empty where an aggregated API serves apps.cozystack.io, as on Cozystack: no CRD of that group may be installed over it */}}
{{- define "vmgpu.aggregated" -}}
{{- if dig "spec" "service" false (lookup "apiregistration.k8s.io/v1" "APIService" "" "v1alpha1.apps.cozystack.io") }}yes{{ end }}
{{- end }}
