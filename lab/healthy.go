package lab

import (
	"maps"
	"slices"
)

// keysetHealthy is the value of Spec.Keyset that leaves the services which a
// coming fault is about as they are, and puts every other one on KeySet.
const keysetHealthy = "healthy"

// Coming is a fault that will be injected.
type Coming struct {
	Name   string
	Params map[string]string
}

// planned is a coming fault whose choices are made: when it is injected, it is
// about the services that were left as they are for it.
type planned struct {
	Coming
	chosen map[string]string
}

// plan settles whom each coming fault is about and puts everybody else on
// KeySet.
func (w *World) plan() error {
	faulted := []string{}
	for _, c := range w.spec.Faults {
		p, err := w.paramsOf(c.Name, c.Params)
		if err != nil {
			return err
		}
		if p.fault.about != nil {
			names, err := p.fault.about(w, p)
			if err != nil {
				return err
			}
			faulted = append(faulted, names...)
		}
		w.planned = append(w.planned, planned{c, p.resolved})
	}
	for i, s := range w.spec.Services {
		if !slices.Contains(faulted, s.Name) {
			w.spec.Services[i].Kind = KeySet
		}
	}
	return nil
}

// asPlanned returns the parameters with the choices that were made for the next
// coming fault of that name and these parameters, once.
func (w *World) asPlanned(name string, params map[string]string) map[string]string {
	i := slices.IndexFunc(w.planned, func(p planned) bool { return p.Name == name && maps.Equal(p.Params, params) })
	if i < 0 {
		return params
	}
	chosen := w.planned[i].chosen
	w.planned = slices.Delete(w.planned, i, i+1)
	return chosen
}

// Whom a fault is about.

func aboutEverybody(w *World, _ *faultParams) ([]string, error) { return w.spec.names(), nil }

// aboutKinds are the verifiers that the fault bites; the others ride it out.
func aboutKinds(kinds ...Kind) func(*World, *faultParams) ([]string, error) {
	return func(w *World, _ *faultParams) ([]string, error) { return w.servicesOf(kinds...), nil }
}

func aboutService(w *World, p *faultParams) ([]string, error) {
	name, err := p.service("service", w.spec.names())
	return []string{name}, err
}
