from declarations16.acme import chat
