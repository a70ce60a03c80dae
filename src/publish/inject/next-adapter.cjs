// SPDX-License-Identifier: MIT
// NEXT_ADAPTER_PATH (Next 16): a static export below the base path, over the project's own settings.
"use strict";
const base = process.env.PREVIEWD_BASE ?? "";

module.exports = {
	name: "previewd",
	modifyConfig(config, { phase }) {
		if (phase !== "phase-production-build")
			return config;
		const images = { ...config.images, unoptimized: true };

		if (base === "")
			return { ...config, output: "export", images };
		return {
			...config,
			output: "export",
			basePath: base,
			assetPrefix: base,
			images: { ...images, path: `${base}/_next/image` },
		};
	},
};
