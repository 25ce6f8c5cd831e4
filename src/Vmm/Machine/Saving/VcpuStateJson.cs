using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>
/// A vCPU's architectural state as JSON that says of itself what it is: registers by name, values in hexadecimal (JSON numbers do
/// not hold 64 bits everywhere), and the extended state as XSAVE's standard format, base64.
/// </summary>
internal static unsafe class VcpuStateJson
{
    /// <summary>Bytes of the XSAVE area that mean something: legacy region, header, high halves of YMM.</summary>
    private const int XsaveLength = XsaveArea.YmmHighOffset + (16 * 16);

    private delegate ref ulong Field64(CpuState* state);

    private static readonly (string Name, Field64 At)[] s_registers =
    [
        ("rip", static state => ref state->Rip),
        ("rflags", static state => ref state->Rflags),
        ("cr0", static state => ref state->Cr0),
        ("cr2", static state => ref state->Cr2),
        ("cr3", static state => ref state->Cr3),
        ("cr4", static state => ref state->Cr4),
        ("cr8", static state => ref state->Cr8),
        ("efer", static state => ref state->Efer),
        ("xcr0", static state => ref state->Xcr0),
        ("apicBase", static state => ref state->Msr.ApicBase),
        ("star", static state => ref state->Msr.Star),
        ("lstar", static state => ref state->Msr.Lstar),
        ("cstar", static state => ref state->Msr.Cstar),
        ("sfmask", static state => ref state->Msr.Sfmask),
        ("kernelGsBase", static state => ref state->Msr.KernelGsBase),
        ("sysenterCs", static state => ref state->Msr.SysenterCs),
        ("sysenterEsp", static state => ref state->Msr.SysenterEsp),
        ("sysenterEip", static state => ref state->Msr.SysenterEip),
        ("pat", static state => ref state->Msr.Pat),
        ("tsc", static state => ref state->Msr.Tsc),
        ("tscKilohertz", static state => ref state->Msr.TscKilohertz),
        ("tscAdjust", static state => ref state->Msr.TscAdjust),
        ("tscAux", static state => ref state->Msr.TscAux),
        ("tscDeadline", static state => ref state->Msr.TscDeadline),
        ("miscEnable", static state => ref state->Msr.MiscEnable),
        ("xss", static state => ref state->Msr.Xss),
        ("specCtrl", static state => ref state->Msr.SpecCtrl),
        ("mtrrDefaultType", static state => ref state->Msr.MtrrDefaultType),
        ("kvmSystemTime", static state => ref state->Msr.KvmSystemTime),
        ("kvmWallClock", static state => ref state->Msr.KvmWallClock),
        ("kvmSteal", static state => ref state->Msr.KvmSteal),
        ("kvmPvEoi", static state => ref state->Msr.KvmPvEoi),
        ("kvmPollControl", static state => ref state->Msr.KvmPollControl),
        ("pkru", static state => ref state->Xsave.Pkru),
        ("pkrs", static state => ref state->Msr.Pkrs),
        ("pendingDebug", static state => ref state->PendingDebug),
    ];

    private static readonly (string Name, int Count, Field64 At)[] s_arrays =
    [
        ("gpr", 16, static state => ref state->Gpr[0]),
        ("dr", 8, static state => ref state->Dr[0]),
        ("pdpte", 4, static state => ref state->Pdpte[0]),
        ("mtrrFixed", 11, static state => ref state->Msr.MtrrFixed[0]),
        ("mtrrVariable", ModelSpecificRegisters.VariableMtrrCount * 2, static state => ref state->Msr.MtrrVariable[0]),
    ];

    public static JsonObject Write(CpuState* state)
    {
        var json = new JsonObject();
        foreach (var (name, at) in s_registers)
        {
            json.Add(name, Hex(at(state)));
        }

        foreach (var (name, count, at) in s_arrays)
        {
            fixed (ulong* first = &at(state))
            {
                json.Add(
                    name, new JsonArray(
                        [.. new ReadOnlySpan<ulong>(first, count).ToArray().Select(value => JsonValue.Create(Hex(value)))]));
            }
        }

        for (var index = SegmentIndex.Es; index <= SegmentIndex.Tr; index++)
        {
            ref var segment = ref state->Segments[index];
            json[Name(index)] = new JsonObject
            {
                ["selector"] = Hex(segment.Selector), ["base"] = Hex(segment.Base), ["limit"] = Hex(segment.Limit),
                ["attributes"] = Hex((ulong)segment.Attributes),
            };
        }

        json["gdtr"] = new JsonObject { ["base"] = Hex(state->Gdtr.Base), ["limit"] = Hex(state->Gdtr.Limit) };
        json["idtr"] = new JsonObject { ["base"] = Hex(state->Idtr.Base), ["limit"] = Hex(state->Idtr.Limit) };
        json["activity"] = (int)state->Activity;
        json["interruptShadow"] = state->InterruptShadow;
        json["nmiBlocked"] = state->NmiBlocked;
        json["nmiPending"] = state->NmiPending;
        json["pendingSipi"] = state->PendingSipi;
        json["pendingInit"] = state->PendingInit;
        json["pendingEvent"] = state->PendingEvent;
        json["pendingEventType"] = state->PendingEventType;
        json["pendingEventHasErrorCode"] = state->PendingEventHasErrorCode;
        json["pendingEventErrorCode"] = state->PendingEventErrorCode;
        json["xsave"] = Convert.ToBase64String(new ReadOnlySpan<byte>(&state->Xsave, XsaveLength));
        return json;
    }

    /// <exception cref="InvalidDataException">Something is missing or no value of its kind.</exception>
    public static void Read(JsonElement json, CpuState* state)
    {
        *state = default;
        foreach (var (name, count, at) in s_arrays)
        {
            var values = Field(json, name);
            if (values.ValueKind != JsonValueKind.Array || values.GetArrayLength() != count)
            {
                throw new InvalidDataException($"'{name}' of a vCPU is not an array of {count}.");
            }

            fixed (ulong* first = &at(state))
            {
                for (int i = 0; i < count; i++)
                {
                    first[i] = ParseValue(values[i], name, ulong.MaxValue);
                }
            }
        }

        for (var index = SegmentIndex.Es; index <= SegmentIndex.Tr; index++)
        {
            var saved = Field(json, Name(index));
            state->Segments[index] = new SegmentRegister
            {
                Selector = (ushort)Parse(saved, "selector", ushort.MaxValue),
                Base = Parse(saved, "base"),
                Limit = (uint)Parse(saved, "limit", uint.MaxValue),
                Attributes = (SegmentAttributes)Parse(saved, "attributes", 0x1_ffff),
            };
        }

        state->Gdtr = ReadTable(Field(json, "gdtr"));
        state->Idtr = ReadTable(Field(json, "idtr"));
        state->Activity = (VcpuActivity)Number(json, "activity", (int)VcpuActivity.WaitForSipi);
        state->InterruptShadow = (byte)Number(json, "interruptShadow", 3);
        state->NmiBlocked = (byte)Number(json, "nmiBlocked", 1);
        state->NmiPending = (byte)Number(json, "nmiPending", 2);
        state->PendingSipi = (ushort)Number(json, "pendingSipi", 0x1ff);
        state->PendingInit = (byte)Number(json, "pendingInit", 1);
        state->PendingEvent = (ushort)Number(json, "pendingEvent", 0x1ff);
        state->PendingEventType = (byte)Number(json, "pendingEventType", 7);
        state->PendingEventHasErrorCode = (byte)Number(json, "pendingEventHasErrorCode", 1);
        state->PendingEventErrorCode = (uint)Number(json, "pendingEventErrorCode", uint.MaxValue);
        if (Field(json, "xsave") is not { ValueKind: JsonValueKind.String } extended || !extended.TryGetBytesFromBase64(out byte[]? bytes)
            || bytes.Length != XsaveLength)
        {
            throw new InvalidDataException($"'xsave' of a vCPU is not {XsaveLength} bytes in base64.");
        }

        bytes.CopyTo(new Span<byte>(&state->Xsave, XsaveLength));
        // Some registers lie within the area that was just filled.
        foreach (var (name, at) in s_registers)
        {
            at(state) = Parse(json, name);
        }
    }

    private static string Name(SegmentIndex index) => index.ToString().ToLowerInvariant();

    private static string Hex(ulong value) => "0x" + value.ToString("x", CultureInfo.InvariantCulture);

    private static DescriptorTableRegister ReadTable(JsonElement json) =>
        new() { Base = Parse(json, "base"), Limit = (ushort)Parse(json, "limit", ushort.MaxValue) };

    private static JsonElement Field(JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value)
            ? value
            : throw new InvalidDataException($"'{name}' of a vCPU is missing.");

    private static ulong Parse(JsonElement json, string name, ulong maximum = ulong.MaxValue) =>
        ParseValue(Field(json, name), name, maximum);

    private static ulong ParseValue(JsonElement value, string name, ulong maximum)
    {
        if (value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 2 } text
            && text.StartsWith("0x", StringComparison.Ordinal)
            && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong number)
                && number <= maximum)
        {
            return number;
        }

        throw new InvalidDataException($"'{name}' of a vCPU is not a hexadecimal number up to 0x{maximum:x}.");
    }

    private static long Number(JsonElement json, string name, long maximum) =>
        Field(json, name) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out long number) && number >= 0
            && number <= maximum
            ? number
            : throw new InvalidDataException($"'{name}' of a vCPU is not a number from 0 to {maximum}.");
}
