using System.Text.Json;
using System.Text.Json.Serialization;
using WebVm.Vmm.Cpu.Measurement;

namespace WebVm.Vmm.Commands;

/// <summary>What <c>probe --json</c> prints.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true)]
[JsonSerializable(typeof(HostProbe))]
internal sealed partial class ProbeJson : JsonSerializerContext;
