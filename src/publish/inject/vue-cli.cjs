// SPDX-License-Identifier: MIT
// VUE_CLI_SERVICE_CONFIG_PATH: the project's own configuration with the base path.
"use strict";
const { existsSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

const file = ["vue.config.js", "vue.config.cjs"].map((name) => join(process.cwd(), name)).find((name) => existsSync(name));
const own = file ? require(file) : JSON.parse(readFileSync(join(process.cwd(), "package.json"), "utf8")).vue ?? {};
const wrap = (config) => ({ ...config, publicPath: process.env.PREVIEWD_BASE });

module.exports = typeof own === "function" ? () => wrap(own() ?? {}) : wrap(own);
