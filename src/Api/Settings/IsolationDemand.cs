namespace WebVm.Api.Settings;

/// <summary>The least that a machine is started with (WEBVM_ISOLATION).</summary>
public enum IsolationDemand
{
    /// <summary>The best there is, whatever that is.</summary>
    Best,

    /// <summary>Files, processes and network of the host are out of the monitor's reach.</summary>
    Namespaces,

    /// <summary>At least system call filters.</summary>
    Process,
}
