using System.Text.Json;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Events;

/// <summary>Adds events to the transaction of the change that they tell of: neither is ever seen without the other.</summary>
public static class EventLog
{
    public static void Record(
        this WebVmDbContext database, string type, string subject, Guid? vmId = null, string? message = null, object? data = null) =>
        database.Events.Add(new EventRecord
        {
            Type = type,
            Subject = subject,
            VmId = vmId,
            Message = message,
            Data = data is null ? "{}" : JsonSerializer.Serialize(data, ApiJson.Options),
        });

    public static void Record(this WebVmDbContext database, string type, Vm vm, string? message = null, object? data = null) =>
        database.Record(type, $"/api/v1/vms/{vm.Id}", vm.Id, message, data ?? new { vm.Name, vm.Observed, vm.Desired });
}
