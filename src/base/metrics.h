/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

/*
 * What /metrics shows.  metrics.def is the list: one row a metric gives the enum, its name, its
 * help and its type.  Metrics belong to the process: the one kind of global a module may have.
 * They are touched on the loop's thread only.
 */
enum metric {
#define METRIC(id, type, name, help) METRIC_##id,
#include "base/metrics.def"
#undef METRIC
	METRIC_COUNT_,
};

void metric_add(enum metric m, double n);         /* counters, gauges */
void metric_set(enum metric m, double value);     /* gauges */
void metric_observe(enum metric m, double value); /* histograms: seconds */
double metric_value(enum metric m);

static inline void metric_inc(enum metric m)
{
	metric_add(m, 1);
}

/* Prometheus text 0.0.4, or OpenMetrics 1.0.0 with its "# EOF". */
void metrics_write(struct strbuf *b, bool openmetrics);
