"""Webhooks: any form tool's or messaging provider's requests in, signed JSON to other programs out."""

from __future__ import annotations

from channels._check_webhook import check_webhook
from channels._webhook_in import Incoming
from channels._webhook_out import WebhookSink, check_address
from channels._webhook_settings import WebhookSettings
from router.interfaces import Channel

CHANNEL = Channel(
    summary="Requests from any form tool or messaging provider, and signed JSON to other programs.",
    settings=WebhookSettings,
    webhook=Incoming,
    sink=WebhookSink,
    check_address=check_address,
    takes_in=lambda settings: settings.fields is not None,
    check=check_webhook,
)
