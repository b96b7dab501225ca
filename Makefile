# The two commands of the README are `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
PY := .venv/bin/python
PYTEST := $(PY) -m pytest -q
TARGET ?=
NAS_CLOUD := tests/lab/test_nas_cloud.py
LAB_IN_TEST := tests/lab/test_lab_kernel.py tests/lab/test_lab_block.py \
	'$(NAS_CLOUD)::test_csi_sanity[subpath]' '$(NAS_CLOUD)::test_two_nodes_write_and_read_one_volume[subpath]' \
	$(NAS_CLOUD)::test_a_pod_hits_its_quota_and_goes_on_when_the_volume_has_grown \
	$(NAS_CLOUD)::test_g36_archiving_and_deleting_leave_exactly_what_they_promise \
	'tests/lab/test_lvm_driver.py::test_a_volume_through_its_life[ext4]' \
	tests/lab/test_lvm_driver.py::test_a_read_only_volume_is_the_snapshot_itself
CLUSTER_IN_TEST := $(addprefix tests/e2e_k8s/,test_pods.py test_disk_volumes.py test_network.py)
RULES := tests/unit tests/packaging tests/chart tests/contract tests/sim
MACHINE := tests/kernel tests/sanity tests/e2e
ARGS ?=

help:            ## list the targets
	@grep -E '^[a-z0-9-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup:           ## install all that tests need: Debian packages, .venv, csi-sanity
	@tools/setup.sh all

base:
	@tools/setup.sh base

kubernetes:      ## build Kubernetes and its sidecars from source, once for this user: six to nine minutes
	@tools/kubernetes/build.sh >/dev/null

demo: base       ## a volume through its life, and pods on a simulated VPC (root)
	@$(PY) -m demo

test: setup kubernetes lint ## everything below; what CI runs (root)
	@tools/beside.py "$(PYTEST) $(RULES)" "$(PYTEST) $(MACHINE)"
	@tools/beside.py "tools/lab.py test $(LAB_IN_TEST)" "E2E_K8S=1 $(PYTEST) $(CLUSTER_IN_TEST)"

unit: setup      ## pure logic and property tests, no root
	@$(PYTEST) tests/unit tests/packaging

sim: setup       ## the simulator's own rules, and our cloud seam against it
	@$(PYTEST) tests/sim tests/contract

kernel: setup    ## mounts, file systems and block devices of the running kernel (root)
	@$(PYTEST) tests/kernel

sanity: setup    ## csi-sanity on every driver (root)
	@$(PYTEST) tests/sanity

e2e: setup kubernetes ## whole life, crashes, faults, concurrency, bad input (root)
	@$(PYTEST) tests/e2e

cluster: base    ## a two-node Kubernetes with our plug-ins (root); ARGS=up, status, down or --help
	@$(PY) -m tests.support.cluster $(ARGS)

e2e-k8s: setup kubernetes ## pods and volumes in that Kubernetes (root); ARGS=… for pytest
	@E2E_K8S=1 $(PYTEST) tests/e2e_k8s $(ARGS)

clients: base    ## other people's clients for Go against the simulator (root); ARGS=… for pytest
	@GO_CLIENTS=1 $(PYTEST) tests/clients_go $(ARGS)

lab: setup kubernetes ## NFS, device-mapper, LVM, VLANs: tests/lab in User-Mode Linux (root); ARGS=… for pytest
	@tools/lab.py --limit 7200 test $(ARGS)

lab-shell: base  ## a shell there
	@tools/lab.py shell

bench: base      ## measurements as a table and bench/out/*.json; TARGET=disk for one
	@$(PY) -m bench $(TARGET)

lint: setup      ## ruff, mypy --strict, import-linter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q .
	@.venv/bin/mypy --no-error-summary
	@.tools/lint/bin/lint-imports --no-logo 2>/dev/null || .tools/lint/bin/lint-imports

format: base     ## let ruff lay out the code
	@.venv/bin/ruff check --fix -q . || true
	@.venv/bin/ruff format -q .

PROTOC := $(PY) -m grpc_tools.protoc --python_out=. --pyi_out=. --grpc_python_out=.
proto: base      ## regenerate the stubs from the .proto files
	@$(PROTOC) -Icsi/_pb=proto csi/_pb/csi.proto csi/_pb/pluginregistration.proto
	@$(PROTOC) -Itests/support/cri=tests/support/cri tests/support/cri/cri.proto
	@$(PROTOC) -Iipamd/_pb=proto ipamd/_pb/ipamd.proto ipamd/_pb/terway.proto

clean:           ## remove what the targets above made in this directory
	rm -rf .venv .tools .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/out dist

.PHONY: help setup base kubernetes demo test unit sim kernel sanity e2e cluster e2e-k8s clients lab lab-shell bench lint format proto clean
