/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h: the controller's settings as plans see them (pass.options), and the flags that they are
 * typed as: the same rows for the controller and for render, which writes what the controller would.
 */
#pragma once

#include "base/flag.h"

/* Which GPUs are taken for virtual machines where no object says: those that nobody has; none; also
 * those that a driver of the host has, while nobody uses them. */
enum options_take { OPTIONS_TAKE_IDLE, OPTIONS_TAKE_NONE, OPTIONS_TAKE_UNUSED };

/* Whether the KubeVirt CR is written: unless Helm or HyperConverged has it; always; never. */
enum options_permit { OPTIONS_PERMIT_AUTO, OPTIONS_PERMIT_MANAGE, OPTIONS_PERMIT_REPORT };

struct options {
	const struct beats *beats; /* no setting: which node daemons are alive (beats.h), or NULL */
	enum options_permit permit; /* --permit */
	enum options_take take;	    /* --take-gpus */
	bool bind_companions;	    /* --companions=bind */
	bool plain_naming;	    /* --naming=plain: children are named like their owner, without
				       Cozystack's prefixes */
	const char *images_ns; /* --images-namespace: where golden images live; NULL: cozy-public */
	bool cozy_proxy; /* --cozy-proxy: Services carry the label and annotations of cozy-proxy */
	bool no_node_ports;	  /* --load-balancer-node-ports=false */
	const char *worker_image; /* --worker-image: container disk of workers, {minor} stands for
				     v1.35; NULL: none */
	const char *gpu_operator_chart; /* --gpu-operator-chart: NAMESPACE/NAME of an
					   ExternalArtifact; NULL: NVIDIA's own chart */
};

static inline const char *options_images_ns(const struct options *o)
{
	return o && o->images_ns ? o->images_ns : "cozy-public";
}

/* Where flag_parse puts the values of options_flags; zeroed before. */
struct options_typed {
	int naming, permit, take, companions;
	bool cozy_proxy, node_ports;
	const char *images_ns, *worker_image, *gpu_operator_chart;
};

extern const struct flag options_flags[];
/* The texts are lent. */
struct options options_of(const struct options_typed *typed);
