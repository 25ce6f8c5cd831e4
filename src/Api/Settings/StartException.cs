using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;
using Npgsql;

namespace WebVm.Api.Settings;

/// <summary>The service cannot start, for a reason that its owner can mend. The message says which.</summary>
public class StartException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The failed start in a sentence for the service's owner. Null for what only a developer can mend.</summary>
    public static string? Explain(Exception failure) => failure switch
    {
        StartException => failure.Message,
        OptionsValidationException wrong => string.Join(' ', wrong.Failures),
        IOException { InnerException: AddressInUseException } => $"{failure.Message.TrimEnd('.')}. WEBVM_LISTEN names another address.",
        SocketException refused => $"WEBVM_LISTEN names an address that cannot be listened on: {refused.Message}.",
        NpgsqlException database => $"The database cannot be used: {database.Message}",
        _ => null,
    };
}
