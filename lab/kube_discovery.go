package lab

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strings"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// discoveryRoutes mounts what a client asks before it knows any resource: the
// list of groups, versions and resources, one document a level as clients before
// 1.26 want it, or in one document (aggregated) for whoever accepts that.
func (k *kube) discoveryRoutes(mux *http.ServeMux) {
	answer := func(pattern string, v any) {
		mux.HandleFunc("GET "+pattern, k.guarded(func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, v) }))
	}
	either := func(pattern string, legacy any, named bool) {
		mux.HandleFunc("GET "+pattern, k.guarded(func(w http.ResponseWriter, r *http.Request) {
			if contentType, ok := aggregated(r); ok {
				replyAs(w, contentType, http.StatusOK, aggregatedGroups(named))
				return
			}
			reply(w, http.StatusOK, legacy)
		}))
	}
	groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, gv := range groupVersions() {
		resources := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
		for _, res := range resourcesOf(gv) {
			resources.APIResources = append(resources.APIResources, metav1.APIResource{Name: res.plural, SingularName: strings.ToLower(res.kind),
				Namespaced: true, Kind: res.kind, Verbs: res.verbs(), ShortNames: []string{res.short}, Categories: res.categories()})
		}
		if gv.Group == "" {
			answer("/api/"+gv.Version, resources)
			continue
		}
		v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		group := metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
		groups.Groups = append(groups.Groups, group)
		group.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		answer("/apis/"+gv.Group, group)
		answer("/apis/"+gv.String(), resources)
	}
	either("/api", metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}, false)
	either("/apis", groups, true)
	answer("/openapi/v3", map[string]any{"paths": map[string]any{}}) // no schemas: nothing is created here, and patches are checked by what they make
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, version.Info{Major: "1", Minor: "34", GitVersion: "v1.34.0+lab", Platform: "linux/amd64"})
	})
}

// groupVersions are those of the API, the unnamed group first.
func groupVersions() []schema.GroupVersion {
	var out []schema.GroupVersion
	for _, res := range kubeResources {
		out = append(out, schema.GroupVersion{Group: res.group, Version: res.version})
	}
	slices.SortFunc(out, func(a, b schema.GroupVersion) int { return cmp.Compare(a.Group, b.Group) })
	return slices.Compact(out)
}

func resourcesOf(gv schema.GroupVersion) []kubeResource {
	return slices.DeleteFunc(slices.Clone(kubeResources), func(r kubeResource) bool { return r.group != gv.Group || r.version != gv.Version })
}

// aggregated reports whether the caller takes the whole in one document, and the
// content type of that.
func aggregated(r *http.Request) (contentType string, ok bool) {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		media, params, err := mime.ParseMediaType(accepted)
		if err == nil && media == "application/json" && params["g"] == apidiscovery.GroupName && params["v"] == "v2" && params["as"] == "APIGroupDiscoveryList" {
			return "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", true
		}
	}
	return "", false
}

// aggregatedGroups is the document at /apis, of the groups with a name, or the
// one at /api, of that without.
func aggregatedGroups(named bool) apidiscovery.APIGroupDiscoveryList {
	out := apidiscovery.APIGroupDiscoveryList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: apidiscovery.GroupName + "/v2"},
		Items: []apidiscovery.APIGroupDiscovery{}}
	for _, gv := range groupVersions() {
		if named != (gv.Group != "") {
			continue
		}
		v := apidiscovery.APIVersionDiscovery{Version: gv.Version, Freshness: apidiscovery.DiscoveryFreshnessCurrent}
		for _, res := range resourcesOf(gv) {
			v.Resources = append(v.Resources, apidiscovery.APIResourceDiscovery{Resource: res.plural, SingularResource: strings.ToLower(res.kind),
				ResponseKind: &metav1.GroupVersionKind{Group: res.group, Version: res.version, Kind: res.kind}, Scope: apidiscovery.ScopeNamespace,
				Verbs: res.verbs(), ShortNames: []string{res.short}, Categories: res.categories()})
		}
		out.Items = append(out.Items, apidiscovery.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: gv.Group}, Versions: []apidiscovery.APIVersionDiscovery{v}})
	}
	return out
}

func (r kubeResource) verbs() []string {
	if r.writable {
		return []string{"get", "list", "patch", "watch"}
	}
	return []string{"get", "list", "watch"}
}

// categories are those that kubectl knows: all is what `kubectl get all` gets.
func (r kubeResource) categories() []string {
	if r.group == "" {
		return nil
	}
	return []string{"all"}
}
