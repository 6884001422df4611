# SPDX-License-Identifier: Apache-2.0
"""From a model file to a float graph: the only place that knows torch.export."""
