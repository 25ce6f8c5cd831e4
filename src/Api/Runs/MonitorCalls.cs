using Microsoft.AspNetCore.Http;
using WebVm.Api.Conventions;
using WebVm.Vmm.Control;

namespace WebVm.Api.Runs;

/// <summary>Requests to a VM's monitor on behalf of a client.</summary>
internal static class MonitorCalls
{
    /// <summary>Makes the call, and turns a monitor that is absent, lost or unwilling into the client's answer.</summary>
    /// <param name="client">Null when no monitor runs.</param>
    public static async Task<IResult> TryAsync(ControlClient? client, Func<ControlClient, Task<IResult>> call)
    {
        if (client is null)
        {
            return Problems.Conflict("The VM is not running.");
        }

        try
        {
            return await call(client);
        }
        catch (ControlTimeoutException)
        {
            return Problems.Conflict("The VM's monitor does not answer.");
        }
        catch (ControlException refused)
        {
            return refused.Code == ControlErrorCode.BadRequest ? Problems.BadRequest(refused.Message) : Problems.Conflict(refused.Message);
        }
        catch (ControlProtocolException)
        {
            return Problems.Conflict("The VM's monitor answers what it was not asked.");
        }
        catch (IOException)
        {
            return Problems.Conflict("The VM has just stopped.");
        }
    }
}
