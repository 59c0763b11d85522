# What `make clients` needs: every client in the version it is tested with, each where it disturbs no other.
# Included by the Makefile; paths are those of the repository's root.

CLIENTS := tests/clients
VENVS := .venvs
REQUIREMENTS := $(CLIENTS)/requirements
NODE_MODULES := $(CLIENTS)/js/node_modules
TIER := $(VENVS)/libraries
MC := github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9
RCLONE := github.com/rclone/rclone@v1.75.1

.PHONY: client-programs
client-programs: $(TIER)/.installed $(VENVS)/programs/.installed $(VENVS)/s3fs/.installed $(VENVS)/tensorboard/.installed \
	$(VENVS)/bin/mc $(VENVS)/bin/rclone $(NODE_MODULES)/.installed debian-clients

# The environment the tier runs in: the gateway, the tests' own needs and the libraries that get along with boto3.
$(TIER)/.installed: pyproject.toml $(REQUIREMENTS)/libraries.txt
	$(call fresh-venv,$(@D))
	$(@D)/bin/pip install $(PIP_FLAGS) --editable '.[test]' --requirement $(REQUIREMENTS)/libraries.txt
	touch $@

$(VENVS)/%/.installed: $(REQUIREMENTS)/%.txt
	$(call fresh-venv,$(@D))
	$(@D)/bin/pip install $(PIP_FLAGS) --requirement $<
	touch $@

# Built once: a change of version is a change of this file.
$(VENVS)/bin/mc: GO_PACKAGE = $(MC)
$(VENVS)/bin/rclone: GO_PACKAGE = $(RCLONE)
$(VENVS)/bin/mc $(VENVS)/bin/rclone: $(CLIENTS)/install.mk
	@command -v go >/dev/null || { echo "make clients builds $(@F) with Go: install Go 1.24 or newer" >&2; exit 1; }
	@echo "building $(GO_PACKAGE) (minutes, the first time)"
	GOBIN=$(abspath $(@D)) go install -ldflags '-s -w' $(GO_PACKAGE)
	touch $@

$(NODE_MODULES)/.installed: $(CLIENTS)/js/package.json $(CLIENTS)/js/package-lock.json
	@command -v npm >/dev/null || { echo "make clients needs Node.js 20 or newer with npm" >&2; exit 1; }
	npm --prefix $(CLIENTS)/js ci --no-audit --no-fund
	touch $@

.PHONY: debian-clients
debian-clients:
	@$(CLIENTS)/debian-packages restic curl openssl s3fs fusermount3=fuse3 docker-registry nginx haproxy systemd-analyze=systemd unshare=util-linux ip=iproute2
