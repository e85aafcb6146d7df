-- Neovim: does what a user does in an open spec, and writes what it shows as JSON to $SHOWN.
local shown = {}
local function lines() return vim.api.nvim_buf_get_lines(0, 0, -1, false) end
local function wait(what, ready)
  if not vim.wait(60000, ready, 50) then error('no ' .. what) end
end
local function ask(method, params)
  for _, answer in pairs(vim.lsp.buf_request_sync(0, method, params, 60000) or {}) do return answer.result end
end
local function at(line, column) vim.api.nvim_win_set_cursor(0, { line, column }) end
local function here() return vim.lsp.util.make_position_params(0, vim.lsp.get_clients({ bufnr = 0 })[1].offset_encoding) end

local function use()
  wait('diagnostics', function() return #vim.diagnostic.get(0) > 0 end)
  shown.diagnostics = vim.tbl_map(function(each) return { each.lnum + 1, each.code } end, vim.diagnostic.get(0))
  shown.written = ''
  for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, -1, 0, -1, { details = true })) do
    for _, line in ipairs(mark[4].virt_lines or {}) do
      for _, part in ipairs(line) do shown.written = shown.written .. part[1] end
    end
  end
  wait('hints', function() return #vim.lsp.inlay_hint.get({ bufnr = 0 }) > 0 end)
  shown.hints = vim.tbl_map(function(each)
    return { each.inlay_hint.position.line + 1, each.inlay_hint.label }
  end, vim.lsp.inlay_hint.get({ bufnr = 0 }))
  at(4, 5)
  shown.hover = ask('textDocument/hover', here()).contents.value
  at(6, 0)
  vim.lsp.buf.code_action({ apply = true, filter = function(each) return each.kind == 'quickfix' end })
  wait('fix', function() return lines()[6]:find('flatten') ~= nil end)
  wait('clean file', function() return #vim.diagnostic.get(0) == 0 end)
  at(4, 18)
  vim.lsp.buf.rename('stem')
  wait('new name', function() return lines()[5]:find('stem') ~= nil end)
  shown.text = lines()
  vim.api.nvim_buf_set_lines(0, -1, -1, false, { '  - max' })
  at(#lines(), 7)
  vim.bo.modified = true
  shown.completions = vim.tbl_map(function(each) return each.label end, ask('textDocument/completion', here()))
end

vim.defer_fn(function()
  local fine, fault = xpcall(use, debug.traceback)
  shown.fault = not fine and fault or nil
  vim.fn.writefile({ vim.json.encode(shown) }, vim.env.SHOWN)
  vim.cmd('qa!')
end, 100)
