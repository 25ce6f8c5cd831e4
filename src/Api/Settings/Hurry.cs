using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace WebVm.Api.Settings;

/// <summary>Whoever presses Ctrl-C again (or sends SIGTERM again) while the service stops does not want to wait any longer.</summary>
internal sealed class Hurry : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly List<PosixSignalRegistration> _signals = [];

    public Hurry(IHostApplicationLifetime lifetime) => lifetime.ApplicationStopping.Register(Listen);

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        _signals.ForEach(signal => signal.Dispose());
        _source.Dispose();
    }

    private void Listen() =>
        _signals.AddRange(
            new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM }.Select(signal => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        _source.Cancel();
    })));
}
