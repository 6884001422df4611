# SPDX-License-Identifier: Apache-2.0
"""What a build says: report.json and text for the terminal. Nothing here prints."""
